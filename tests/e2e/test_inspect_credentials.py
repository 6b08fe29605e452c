"""/ws/inspect gives nobody the credentials that a browser or a proxy added to a request."""

import json
import re

from tests.e2e.inspected import PATH, Inspected
from tests.e2e.raw_client import KEY, upgrade_request

REDACTED = r"\(redacted: {} bytes; hash [0-9a-f]{{8}}\)"

#: What a browser or a proxy may add to a request, and no page may read.
SECRETS = {
    "cookie": ["session=HttpOnly-1234", "theme=dark-1234"],
    "authorization": "Basic dXNlcjoxMjM0",
    "proxy_authorization": "Bearer 1234",
    "x_api_key": "1234",
    "x_internal_auth": "1234",
    "x_forwarded_access_token": "gho_1234",
    "x_amzn_oidc_data": "claims-1234",
    "cf_access_jwt_assertion": "assertion-1234",
    "x_handed_on": "Bearer handed-on-1234",
}


def handshake_with(server, **fields):
    """The report of a handshake with these fields."""
    with Inspected(server) as client:
        return client.begin(**fields)


def test_credentials_are_replaced_in_the_report_of_the_handshake(echo_server):
    plain = {"user_agent": "curl/8", "x_forwarded_for": "192.0.2.7", "x_request_id": "1-2-3"}
    report = handshake_with(echo_server, **plain, **SECRETS)
    assert "1234" not in json.dumps(report)
    sent = upgrade_request(echo_server.port, path=PATH, **plain, **SECRETS).decode()
    line, *fields = sent.removesuffix("\r\n\r\n").split("\r\n")
    assert report["request"]["line"] == line
    came = [tuple(field.split(": ", 1)) for field in fields]
    shown = [tuple(field) for field in report["request"]["headers"]]
    assert [name for name, _ in shown] == [name for name, _ in came]
    for (name, value), (_, instead) in zip(came, shown, strict=True):
        if name == "X-Handed-On":
            assert re.fullmatch("Bearer " + REDACTED.format(14), instead)
        elif name.lower().replace("-", "_") in SECRETS:
            assert re.fullmatch(REDACTED.format(len(value)), instead), name
        else:
            assert instead == value
    assert report["redacted"] == [name.replace("_", "-").title() for name in SECRETS]
    by_name = dict(shown)
    assert report["forwarded"] == [
        ["X-Forwarded-For", "192.0.2.7"],
        ["X-Forwarded-Access-Token", by_name["X-Forwarded-Access-Token"]],
    ]


def test_a_token_in_a_subprotocol_is_replaced_wherever_the_report_has_it(echo_server):
    prefix, token = "base64url.bearer.authorization.k8s.io.", "c2VjcmV0"
    offered = f"{prefix}{token}, base64.binary.k8s.io"
    report = handshake_with(echo_server, sec_websocket_protocol=offered)
    assert token not in json.dumps(report)
    shown = report["subprotocols"]["chosen"]
    assert re.fullmatch(re.escape(prefix) + REDACTED.format(len(token)), shown)
    assert report["subprotocols"]["offered"] == [shown, "base64.binary.k8s.io"]
    assert ["Sec-WebSocket-Protocol", shown] in report["response"]["headers"]
    assert report["redacted"] == ["Sec-Websocket-Protocol"]


def test_no_hash_of_one_connection_is_one_of_another(echo_server):
    first, second = (handshake_with(echo_server, cookie="pin=1234") for _ in range(2))
    assert (
        dict(first["request"]["headers"])["Cookie"] != dict(second["request"]["headers"])["Cookie"]
    )


def test_an_operator_can_have_credentials_shown(start_server):
    server = start_server("--show-credentials")
    report = handshake_with(server, sec_websocket_protocol="token, hunter2", **SECRETS)
    assert dict(report["request"]["headers"]) | {"Cookie": SECRETS["cookie"]} == {
        "Host": f"127.0.0.1:{server.port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-Websocket-Key": KEY,
        "Sec-Websocket-Version": "13",
        "Sec-Websocket-Protocol": "token, hunter2",
        **{name.replace("_", "-").title(): value for name, value in SECRETS.items()},
    }
    assert report["redacted"] == []
    assert report["subprotocols"]["offered"] == ["token", "hunter2"]
