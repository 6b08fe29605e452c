"""No header field that a client can send makes the application fail."""

import os
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import create_environ

from echo.app import Sources, create_app
from echo.metrics import Metrics
from echo.net.counters import Counters
from echo.net.registry import Registry
from echo.settings import Settings

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "x3JJHMbDL1EzLkh9GBhXDw==",
}


@pytest.fixture
def app():
    return create_app(Settings())


def get(app, path, fields):
    with app.test_client().get(path, headers=fields) as response:
        response.get_data()
        return response


def status_of(app, environ):
    statuses = []
    with closing(app(environ, lambda status, *_: statuses.append(status))) as body:
        b"".join(body)
    (status,) = statuses
    return int(status.split()[0])


DATES = [
    "1 Jan 9999999999 1:1:1",
    "1 Jan 2020 1:1:99999999999999999999",
    f"1 Jan 1 1:1:1 +{10**30}",
]


@pytest.mark.parametrize("field", ["If-Modified-Since", "If-Unmodified-Since", "If-Range"])
@pytest.mark.parametrize("date", DATES)
def test_a_condition_that_is_no_date_is_ignored(app, caplog, field, date):
    response = get(app, "/static/css/base.css", {field: date, "Range": "bytes=0-1"})
    assert response.status_code in {200, 206}
    assert caplog.records == []


ATOMS = st.sampled_from(
    [
        *DATES,
        *(
            "9" * 30,
            "9" * 5000,
            "-1",
            "bytes=",
            "0-0",
            "=",
            ",",
            ";",
            "q=",
            "1e999",
            "nan",
            '"',
            "W/",
        ),
        *("application/openmetrics-text", "version=1.0.0", "escaping=", "text/plain", "*/*", "\\"),
        *("Sun, 06 Nov 1994 08:49:37 GMT", " +9999999999", " -2359", "utf-8''%ff", "=?utf-8?b?x?="),
        *(
            "\x85",
            "\xa0",
            "\xb2",
            "\xff",
            "%00",
            "[",
            "::1",
            "a=b",
            "websocket",
            "Upgrade",
            "13",
            "1_0",
        ),
    ]
)
VALUES = st.lists(
    ATOMS | st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=3
).map("".join)
FIELDS = st.sampled_from(
    [
        *(
            "If-Modified-Since",
            "If-Unmodified-Since",
            "If-Range",
            "If-Match",
            "If-None-Match",
            "Range",
        ),
        *(
            "Accept",
            "Accept-Charset",
            "Accept-Encoding",
            "Accept-Language",
            "Cookie",
            "Authorization",
        ),
        *("Content-Type", "Cache-Control", "Date", "Expect", "Forwarded", "Origin", "Referer"),
        *("Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "User-Agent"),
        *(
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Extensions",
            "X-Forwarded-For",
            "X-Forwarded-Host",
        ),
    ]
)
PATHS = st.sampled_from(
    [
        *("/", "/metrics", "/readyz", "/nothing", "/static/css/base.css", "/static/nothing"),
        *("/ws/echo", "/ws/inspect", "/ws/echo_display", "/ws/connections/x"),
    ]
)


@pytest.fixture(scope="module")
def metered():
    metrics = Metrics(Counters(), lambda: 0)
    return create_app(Settings(trust_proxy=1), Sources(Registry(), metrics=metrics))


@settings(max_examples=int(os.environ.get("ECHO_TEST_EXAMPLES", "300")), deadline=None)
@given(
    method=st.sampled_from(["GET", "HEAD", "OPTIONS"]),
    path=PATHS,
    query=VALUES,
    fields=st.dictionaries(FIELDS, VALUES, max_size=4),
    upgrade=st.booleans(),
)
def test_no_field_is_a_fault_of_the_server(metered, method, path, query, fields, upgrade):
    environ = create_environ(path, method=method, headers=HANDSHAKE if upgrade else None)
    environ["QUERY_STRING"] = query
    for name, value in fields.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.strip(" \t")
    assert status_of(metered.wsgi_app, environ) != 500


@pytest.mark.parametrize("date", ["yesterday", *DATES])
def test_an_unreadable_condition_leaves_the_readable_ones(app, date):
    path = "/static/css/base.css"
    etag = get(app, path, {}).headers["ETag"]
    assert get(app, path, {"If-None-Match": etag, "If-Modified-Since": date}).status_code == 304
    fields = {"If-Unmodified-Since": date, "Range": "bytes=0-1"}
    assert get(app, path, fields).data == get(app, path, {}).data[:2]
