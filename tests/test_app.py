"""The Flask application by itself: routes, answers to errors, security headers."""

import gc
import io
from contextlib import closing
from html.parser import HTMLParser
from typing import ClassVar
from urllib.parse import urljoin
from wsgiref.handlers import SimpleHandler
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from flask import abort
from werkzeug.test import create_environ

import server
from echo.app import Sources, create_app
from echo.net.http import Exchange
from echo.net.registry import Registry
from echo.protocol.errors import ConnectionLost
from echo.settings import Settings

#: The header fields of a good opening handshake.
HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}

#: One request for every kind of answer: method, path, header fields, status.
ANSWERS = [
    ("GET", "/", {}, 302),
    ("GET", "/", HANDSHAKE, 404),
    ("POST", "/", {}, 405),
    ("GET", "/healthz", {}, 200),
    ("HEAD", "/readyz", {}, 200),
    ("GET", "/readyz", {}, 200),
    ("POST", "/readyz", {}, 405),
    ("GET", "/readyz", HANDSHAKE, 404),
    ("GET", "/ws/echo_display", {}, 200),
    ("HEAD", "/ws/echo_display", {}, 200),
    ("OPTIONS", "/ws/echo_display", {}, 200),
    ("POST", "/ws/echo_display", {}, 405),
    ("GET", "/ws/echo_display", HANDSHAKE, 404),
    ("GET", "/static/js/app/main.js", {}, 200),
    ("GET", "/static/css/base.css", {}, 200),
    ("GET", "/static/js/app/main.js", HANDSHAKE, 404),
    ("GET", "/static/nothing.js", {}, 404),
    ("GET", "/static/../server.py", {}, 404),
    ("GET", "/ws/echo", {}, 426),
    ("GET", "/ws/echo", HANDSHAKE, 501),
    ("GET", "/ws/echo?query=1", HANDSHAKE, 501),
    ("GET", "/ws/echo", {**HANDSHAKE, "Connection": "keep-alive, Upgrade"}, 501),
    ("GET", "/ws/echo", {**HANDSHAKE, "Connection": "notupgrade"}, 426),
    ("GET", "/ws/echo", {**HANDSHAKE, "Upgrade": "h2c"}, 426),
    ("GET", "/ws/echo", {**HANDSHAKE, "Sec-WebSocket-Version": "8"}, 426),
    ("GET", "/ws/echo", {**HANDSHAKE, "Sec-WebSocket-Key": "short"}, 400),
    ("GET", "/ws/echo", {**HANDSHAKE, "Origin": "http://evil.example"}, 403),
    ("GET", "/ws/echo", {**HANDSHAKE, "Origin": "http://localhost"}, 501),
    ("GET", "/ws/echo", {**HANDSHAKE, "Sec-WebSocket-Protocol": "a,b c"}, 400),
    ("HEAD", "/ws/echo", {}, 405),
    ("HEAD", "/ws/echo", HANDSHAKE, 405),
    ("POST", "/ws/echo", {}, 405),
    ("POST", "/ws/echo", HANDSHAKE, 405),
    ("PUT", "/ws/echo", {}, 405),
    ("PUT", "/ws/echo", HANDSHAKE, 405),
    ("DELETE", "/ws/echo", {}, 405),
    ("OPTIONS", "/ws/echo", {}, 405),
    ("PATCH", "/ws/echo", {}, 405),
    ("GET", "/nothing", {}, 404),
    ("GET", "/nothing", HANDSHAKE, 404),
    ("POST", "/nothing", {}, 404),
    ("GET", "/ws", {}, 404),
    ("GET", "/ws", HANDSHAKE, 404),
    ("GET", "/ws/", HANDSHAKE, 404),
    ("GET", "/ws/echo/", {}, 404),
    ("GET", "/ws/echo/", HANDSHAKE, 404),
    ("GET", "/ws/echo/more", HANDSHAKE, 404),
    ("GET", "/ws/ECHO", HANDSHAKE, 404),
    ("GET", "/echo", HANDSHAKE, 404),
]


@pytest.fixture(scope="module")
def shared_app():
    """An application for tests that leave it as it is; making one takes its time."""
    return create_app(Settings())


@pytest.fixture
def own_app():
    """An application for a test that adds to it."""
    return create_app(Settings())


@pytest.fixture
def app(request):
    """The ``own_app`` of a test that has one, the shared one of any other."""
    own = "own_app" in request.fixturenames
    return request.getfixturevalue("own_app" if own else "shared_app")


@pytest.fixture
def ask(app):
    """Sends a request to the application and gives the whole response."""
    client = app.test_client()

    def ask(method="GET", path="/", headers=None, **arguments):
        with client.open(path, method=method, headers=headers, **arguments) as response:
            response.get_data()
            return response

    return ask


def call(app, environ) -> tuple[int, str]:
    """Status and body of what the application answers; it may add to the environ."""
    statuses: list[str] = []

    def start_response(status, headers, exc_info=None):
        statuses.append(status)

    with closing(app(environ, start_response)) as body:
        content = b"".join(body).decode()
    (status,) = statuses
    return int(status.split()[0]), content


class Server(SimpleHandler):
    """The WSGI server of the standard library, as far as it goes without a socket."""

    http_version = "1.1"
    os_environ: ClassVar = {}

    def log_exception(self, exc_info):
        raise exc_info[1]


def status_by_the_rules_of_wsgi(app, method, path, headers):
    """The status of an answer, with both sides held to WSGI."""
    environ = {f"HTTP_{name.upper().replace('-', '_')}": headers[name] for name in headers}
    environ |= {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path}
    environ |= {"SERVER_PROTOCOL": "HTTP/1.1", "QUERY_STRING": "", "HTTP_HOST": "localhost"}
    setup_testing_defaults(environ)
    output = io.BytesIO()
    Server(io.BytesIO(), output, io.StringIO(), environ).run(validator(app))
    version, status, _ = output.getvalue().split(maxsplit=2)
    assert version == b"HTTP/1.1"
    return int(status)


def assert_security_headers(headers):
    directives = dict(
        directive.strip().split(" ", 1)
        for directive in headers["Content-Security-Policy"].split(";")
    )
    assert directives == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self' ws://localhost wss://localhost",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers.getlist("X-Content-Type-Options") == ["nosniff"]
    assert headers.getlist("Referrer-Policy") == ["no-referrer"]
    assert headers.getlist("Cross-Origin-Opener-Policy") == ["same-origin"]
    assert headers.getlist("Cross-Origin-Resource-Policy") == ["same-origin"]
    assert "Strict-Transport-Security" not in headers


def assert_reason(response, method):
    """A refusal is a short reason in plain text."""
    assert response.content_type == "text/plain; charset=utf-8"
    if method == "HEAD":
        assert response.data == b""
        return
    assert response.text.endswith("\n")
    reason, *cures = response.text.splitlines()
    assert 10 < len(reason) < 300
    assert len(cures) in {0, 7}
    assert "<" not in response.text
    assert response.content_length == len(response.data)


@pytest.mark.parametrize(("method", "path", "headers", "status"), ANSWERS)
def test_answer(app, ask, method, path, headers, status):
    response = ask(method, path, headers)
    assert response.status_code == status
    assert_security_headers(response.headers)
    if status >= 400:
        assert_reason(response, method)
        assert response.headers.getlist("Cache-Control") == ["no-store"]
        # The access log has the same reason.
        environ = create_environ(path, method=method, headers=headers)
        assert call(app, environ)[0] == status
        assert Exchange.of(environ).refusal
        assert method == "HEAD" or response.text.startswith(f"{Exchange.of(environ).refusal}\n")
    # WSGI forbids "Connection: Upgrade" to applications, which a 426 needs; servers that know
    # WebSocket let it pass.
    if status != 426 and "?" not in path:
        assert status_by_the_rules_of_wsgi(app, method, path, headers) == status


class UnavailableRecords:
    def find(self, _):
        raise OSError("no answer within 2 s")


@pytest.mark.parametrize(("records", "status"), [(None, 404), (UnavailableRecords(), 503)])
def test_no_cache_keeps_that_a_connection_is_unknown(records, status):
    client = create_app(Settings(), Sources(Registry(), records)).test_client()
    response = client.get(f"/ws/connections/{'x' * 22}")
    assert response.status_code == status
    assert response.headers.getlist("Cache-Control") == ["no-store"]


@pytest.mark.parametrize("headers", [{}, HANDSHAKE], ids=["plain", "handshake"])
@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/ws/echo", "/ws/echo_display", "/ws/connections/x"]
)
def test_a_request_leaves_nothing_to_the_garbage_collector(app, path, headers):
    call(app, create_environ(path, headers=headers))  # what is made once
    gc.collect()
    gc.disable()
    try:
        call(app, create_environ(path, headers=headers))
        assert [one for one in gc.get_objects() if isinstance(one, Exchange)] == []
    finally:
        gc.enable()


def test_root_leads_to_the_page(ask):
    assert ask("GET", "/").location == "ws/echo_display"


def test_page_is_html(ask):
    response = ask("GET", "/ws/echo_display")
    assert response.content_type == "text/html; charset=utf-8"
    assert response.text.lower().startswith("<!doctype html>")


@pytest.mark.parametrize("headers", [{}, HANDSHAKE])
@pytest.mark.parametrize("path", ["//ws/echo", "///ws/echo", "/ws//echo", "/ws/echo//"])
def test_path_with_a_slash_too_many_is_another_path(app, path, headers):
    environ = create_environ("/", headers=headers)
    environ["PATH_INFO"] = path
    status, content = call(app, environ)
    assert status == 404
    assert content.startswith("Not Found")
    assert "/ws/echo" in content


class Page(HTMLParser):
    """What a page loads, and what a strict policy forbids."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.forbidden: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "style" or (tag == "script" and not given.get("src")):
            self.forbidden.append(tag)
        self.forbidden += [name for name in given if name == "style" or name.startswith("on")]
        if tag in {"script", "img", "iframe", "source"} and "src" in given:
            self.loads.append(given["src"])
        if tag == "link":
            self.loads.append(given["href"])


def test_page_loads_only_what_the_application_has_and_nothing_is_inline(ask):
    page = Page(ask("GET", "/ws/echo_display").text)
    assert page.forbidden == []
    assert [path for path in page.loads if not path.startswith("../static/")] == []
    assert {ask("GET", urljoin("/ws/", path)).status_code for path in page.loads} == {200}
    assert {path.rpartition(".")[2] for path in page.loads} >= {"js", "css"}


def test_plain_get_of_the_websocket_says_what_to_do_and_where_the_page_is(ask):
    response = ask("GET", "/ws/echo", base_url="http://echo.example:8080")
    assert response.status_code == 426
    assert response.headers.getlist("Upgrade") == ["websocket"]
    assert response.headers.getlist("Connection") == ["Upgrade"]
    assert response.headers.getlist("Sec-WebSocket-Version") == ["13"]
    assert "'Upgrade: websocket'" in response.text
    assert "http://echo.example:8080/ws/echo_display" in response.text


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("echo.example", "http://echo.example/ws/echo_display"),
        ("my_service:8000", "http://my_service:8000/ws/echo_display"),
        ("localhost:", "http://localhost/ws/echo_display"),
        ("[::1]:", "http://[::1]/ws/echo_display"),
        ("[::1]:8000", "http://[::1]:8000/ws/echo_display"),
        ("a~b!$&'()*+;=%41:1", "http://a~b!$&'()*+;=%41:1/ws/echo_display"),
        ("echo.example.", "http://echo.example./ws/echo_display"),
        ("localhost:080", "http://localhost:080/ws/echo_display"),
        ("", "/ws/echo_display"),
        (":8000", "/ws/echo_display"),
        (None, "/ws/echo_display"),
    ],
)
def test_link_to_the_page_is_good_for_every_host(app, host, link):
    environ = create_environ("/ws/echo")
    del environ["HTTP_HOST"]
    if host is not None:
        environ["HTTP_HOST"] = host
    status, content = call(app, environ)
    assert status == 426
    assert content.endswith(f" open {link}\n")


@pytest.mark.parametrize(
    ("method", "path", "headers", "words"),
    [
        ("GET", "/socket.io/?EIO=4&transport=websocket", HANDSHAKE, "WebSocket, not Socket.IO"),
        ("GET", "/socket.io/?EIO=4&transport=polling", {}, "WebSocket, not Socket.IO"),
        ("POST", "/hub/negotiate?negotiateVersion=1", {}, "WebSocket, not SignalR"),
        ("GET", "/ws/echo/1/abcd/websocket", HANDSHAKE, "WebSocket, not SockJS"),
        ("GET", "/", HANDSHAKE, "it is at /ws/echo."),
        ("GET", "/echo", {**HANDSHAKE, "Upgrade": "WebSocket, x"}, "it is at /ws/echo."),
        ("GET", "/echo", {}, "The WebSocket is at /ws/echo, the page to try it at /ws/echo_disp"),
        ("GET", "/static/none", {}, "The WebSocket is at /ws/echo"),
    ],
)
def test_404_says_where_the_websocket_is_and_what_it_speaks(ask, method, path, headers, words):
    response = ask(method, path, headers)
    assert response.status_code == 404
    assert words in response.text


def test_404_of_a_connection_speaks_of_that_alone(ask):
    assert "/ws/echo" not in ask("GET", f"/ws/connections/{'x' * 22}").text


def test_other_version_is_told_the_right_one(ask):
    response = ask("GET", "/ws/echo", {**HANDSHAKE, "Sec-WebSocket-Version": "8"})
    assert response.status_code == 426
    assert response.headers.getlist("Sec-WebSocket-Version") == ["13"]
    assert "use 13" in response.text


@pytest.mark.parametrize("headers", [{}, HANDSHAKE])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_websocket_allows_get_alone(ask, method, headers):
    response = ask(method, "/ws/echo", headers)
    assert response.status_code == 405
    assert response.headers.getlist("Allow") == ["GET"]


def test_upgrade_of_a_page_says_where_the_websocket_is(ask):
    response = ask("GET", "/ws/echo_display", HANDSHAKE)
    assert "it is at /ws/echo." in response.text


def test_foreign_origin_is_told_of_the_option(ask):
    response = ask("GET", "/ws/echo", {**HANDSHAKE, "Origin": "http://evil.example"})
    assert "--allow-origin" in response.text
    # The page would not help: it is for who asks with a browser and without a WebSocket.
    assert "echo_display" not in response.text


@pytest.mark.parametrize("origins", [("http://page.example",), ("*",)])
def test_settings_reach_the_handshake(origins):
    settings = Settings(allowed_origins=origins)
    client = create_app(settings).test_client()
    headers = {**HANDSHAKE, "Origin": "http://page.example"}
    assert client.get("/ws/echo", headers=headers).status_code == 501


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/0.9"])
def test_upgrade_over_old_http_is_refused(ask, version):
    response = ask("GET", "/ws/echo", HANDSHAKE, environ_overrides={"SERVER_PROTOCOL": version})
    assert response.status_code == 505


def test_server_that_cannot_upgrade_answers_501_and_says_which_can(ask):
    response = ask("GET", "/ws/echo", HANDSHAKE)
    assert response.status_code == 501
    assert "server.py" in response.text
    assert "Sec-WebSocket-Accept" not in response.headers


def test_peer_that_went_away_during_the_handshake_is_no_fault_of_the_application(own_app):
    def lose():
        raise ConnectionLost("during the opening handshake: Broken pipe")

    own_app.add_url_rule("/lose", view_func=lose)
    environ = create_environ("/lose")
    assert call(own_app, environ)[0] == 500
    assert "Broken pipe" in Exchange.of(environ).refusal


def test_fault_of_the_application_is_told_without_its_details(own_app, ask):
    def fail():
        raise RuntimeError("a secret")

    own_app.add_url_rule("/fail", view_func=fail)
    response = ask("GET", "/fail")
    assert response.status_code == 500
    assert response.content_type == "text/plain; charset=utf-8"
    assert "secret" not in response.text
    assert "Content-Security-Policy" in response.headers


def test_error_keeps_header_fields_of_its_own(app, ask):
    assert set(ask("POST", "/ws/echo_display").allow) == {"GET", "HEAD", "OPTIONS"}


def test_any_http_error_is_plain_text_and_a_redirect_stays_one(own_app, ask):
    own_app.add_url_rule("/bad", view_func=lambda: abort(400), endpoint="bad")
    own_app.add_url_rule("/folder/", view_func=lambda: "", endpoint="folder")
    assert ask("GET", "/bad").text.startswith("Bad Request: ")
    redirect = ask("GET", "/folder")
    assert redirect.status_code == 308
    assert redirect.location == "http://localhost/folder/"
    assert redirect.mimetype == "text/html"


def test_wsgi_tools_find_the_application_and_nothing_else():
    assert server.app is server.app
    assert server.app.test_client().get("/healthz").status_code == 200
    with pytest.raises(AttributeError):
        _ = server.application


def test_too_little_memory_is_one_line(monkeypatch, capsys):
    def main(**_):
        raise MemoryError

    monkeypatch.setattr(server.command, "main", main)
    with pytest.raises(SystemExit) as end:
        server.main()
    assert end.value.code == 1
    assert capsys.readouterr() == ("", "server.py: there is not enough memory\n")
