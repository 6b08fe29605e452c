"""Section 4.2: which opening handshakes are accepted, and how the others are refused."""

from base64 import b64encode
from contextlib import suppress
from dataclasses import FrozenInstanceError, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.utils import accept_key

from echo.protocol.deflate import DeflateParameters, DeflatePolicy
from echo.protocol.errors import (
    BadRequest,
    ForbiddenOrigin,
    HandshakeError,
    HTTPVersionNotSupported,
    MethodNotAllowed,
    UpgradeRequired,
)
from echo.protocol.handshake import (
    HandshakePolicy,
    HandshakeResponse,
    accept_value,
    is_token,
)
from tests.protocol.opening import KEY, handshake
from tests.protocol.streams import MODEST

ACCEPT = "HSmrc0sMlYUkAGmm5OPpG2HaGWk="

POLICY = HandshakePolicy()

#: What may stand in a request in a good request's place.
ACCEPTED = [
    {},
    {"upgrade": "WebSocket"},
    {"upgrade": "WEBSOCKET"},
    {"upgrade": " websocket "},
    {"upgrade": "h2c, websocket"},
    {"upgrade": "websocket,h2c"},
    {"connection": "upgrade"},
    {"connection": "UPGRADE"},
    {"connection": "keep-alive, Upgrade"},
    {"connection": "Upgrade, keep-alive"},
    {"connection": "keep-alive,upgrade,close"},
    {"connection": "keep-alive ,\tUpgrade\t, x"},
    {"connection": ", ,Upgrade,"},
    {"version": " 13 "},
    {"key": f"  {KEY}\t"},
    {"host": None},
    {"host": "anything at all"},
]

#: The same for requests that are refused: with which error, and a word of the reason.
REFUSED = [
    *(
        ({"method": method}, MethodNotAllowed, "GET")
        for method in ("POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "get", "")
    ),
    *(
        ({"upgrade": upgrade}, UpgradeRequired, "'Upgrade: websocket'")
        for upgrade in (
            *(None, "", "h2c", "websockets", "notwebsocket", "web socket", "websocket/13"),
            *("\x85websocket", "websocket\xa0", "h2c,\xa0websocket"),
        )
    ),
    *(
        ({"connection": connection}, UpgradeRequired, "Connection")
        for connection in (
            None,
            "",
            "close",
            "keep-alive",
            "notupgrade",
            "upgraded",
            "Upgrade-Insecure-Requests",
            "keep-alive Upgrade",
            "keep-alive; Upgrade",
            "websocket",
            "\xa0Upgrade\x85",
        )
    ),
    *(
        ({"http_version": version}, HTTPVersionNotSupported, "HTTP/1.1")
        for version in ("HTTP/1.0", "HTTP/0.9", "HTTP/1", "HTTP/1.10", "")
    ),
    ({"version": None}, UpgradeRequired, "lacks 'Sec-WebSocket-Version: 13'"),
    *(
        ({"version": version}, UpgradeRequired, "use 13")
        for version in (
            "",
            "0",
            "7",
            "8",
            "12",
            "14",
            "113",
            "130",
            "1 3",
            "13, 8",
            "13,13",
            "x",
            "13\xa0",
        )
    ),
    ({"key": None}, BadRequest, "lacks 'Sec-WebSocket-Key: 16 random bytes in base64'"),
    ({"key": f"{KEY},{KEY}"}, BadRequest, "once"),
    ({"key": f"{KEY}, {KEY}"}, BadRequest, "once"),
    ({"key": f"{KEY},"}, BadRequest, "once"),
    *(
        ({"key": key}, BadRequest, "base64")
        for key in (
            KEY[:-1],
            KEY[:-2],
            KEY + "=",
            KEY + "A",
            "=" + KEY,
            "x3JJHMbD L1EzLkh9GBhXDw==",
            "x3JJHMbD\nL1EzLkh9GBhXDw==",
            "x3JJHMbDL1EzLkh9GBhX=Dw=",
            "-_JJHMbDL1EzLkh9GBhXDw==",
            "x3JJHMbDL1EzLkh9GBhXD\xe9==",
            "x3JJHMbDL1EzLkh9GBhXD!==",
            "====",
            f"\x85{KEY}",
            f"{KEY}\xa0",
            "not base64",
        )
    ),
    *(
        ({"key": b64encode(bytes(size)).decode()}, BadRequest, f"encodes {size} bytes: send 16")
        for size in (0, 1, 12, 15, 17, 18, 20, 32, 4096)
    ),
    ({"key": "  "}, BadRequest, "encodes 0 bytes: send 16"),
]

#: Offers, the server's choice, and what comes out.
SUBPROTOCOLS = [
    (None, None, None),
    (None, ["chat"], None),
    ("chat", None, "chat"),
    ("chat, superchat", None, "chat"),
    ("superchat,chat", None, "superchat"),
    (" chat\t,\tsuperchat ", None, "chat"),
    ("chat, superchat", ["superchat"], "superchat"),
    ("chat, superchat", ["superchat", "chat"], "chat"),  # the client's order counts
    ("chat, superchat", ["other"], None),
    ("superchat", ["chat"], None),
    ("chat", ["superchat"], None),
    ("Chat", ["chat"], None),
    ("chat", ["Chat"], None),
    ("chat, superchat", [], None),
    ("v1.echo!#$%&'*+-.^_`|~", None, "v1.echo!#$%&'*+-.^_`|~"),
    ("chat, Chat", None, "chat"),
    # An empty list offers nothing.
    ("", None, None),
    (" \t", ["chat"], None),
    (",", None, None),
    (" , ,", None, None),
    (",, chat,", None, "chat"),
]

BAD_SUBPROTOCOLS = [
    "chat superchat",
    "chat;superchat",
    "chat/1",
    'say "hi"',
    "caf\xe9",
    "a\x00b",
    "a\r\nSet-Cookie: b",
    "chat, chat",
    "a, b, a",
]


def refusal(policy: HandshakePolicy = POLICY, **changes: str | None) -> HandshakeError:
    with pytest.raises(HandshakeError) as caught:
        handshake(policy, **changes)
    return caught.value


@pytest.mark.parametrize(
    ("key", "accept"),
    [
        pytest.param("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", id="rfc"),
        pytest.param(KEY, ACCEPT, id="issue"),
    ],
)
def test_accept_value_of_the_sample(key, accept):
    assert accept_value(key) == accept
    assert handshake(key=key) == HandshakeResponse(accept)


@MODEST
@given(st.binary(min_size=16, max_size=16))
def test_accept_value_of_any_key_is_the_one_of_websockets(nonce):
    key = b64encode(nonce).decode()
    assert handshake(key=key).accept == accept_key(key)


@pytest.mark.parametrize("changes", ACCEPTED, ids=repr)
def test_handshake_is_accepted(changes):
    assert handshake(**changes) == HandshakeResponse(ACCEPT, None)


@pytest.mark.parametrize(("changes", "error", "word"), REFUSED)
def test_handshake_is_refused(changes, error, word):
    caught = refusal(**changes)
    assert type(caught) is error
    assert word in str(caught)


def test_reason_shows_the_version_that_was_asked_for():
    assert "'8'" in str(refusal(version="8"))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"method": "POST", "upgrade": None}, MethodNotAllowed),
        # What has no upgrade is not a WebSocket request at all, whatever else it lacks.
        ({"upgrade": None, "http_version": "1.0"}, UpgradeRequired),
        ({"http_version": "1.0", "version": "8"}, HTTPVersionNotSupported),
        # A client of another version may have other rules for its key.
        ({"version": "8", "key": None}, UpgradeRequired),
        ({"key": None, "origin": "http://evil.example"}, BadRequest),
        ({"origin": "http://evil.example", "protocols": "a b"}, ForbiddenOrigin),
    ],
)
def test_first_fault_counts(changes, error):
    assert type(refusal(**changes)) is error


@pytest.mark.parametrize(("offers", "spoken", "chosen"), SUBPROTOCOLS)
def test_subprotocol_is_chosen(offers, spoken, chosen):
    policy = HandshakePolicy(subprotocols=spoken)
    response = handshake(policy, protocols=offers)
    assert response == HandshakeResponse(ACCEPT, chosen)


@pytest.mark.parametrize(
    "unknown",
    [
        'x; a="b c"',
        'x; a=""',
        'x; a=","',
        'x; a="\\""',
        "x-webkit-deflate-frame",
        'x; a="b c"; a=1',
    ],
)
def test_unknown_extension_is_declined_and_the_next_one_agreed_on(unknown):
    policy = HandshakePolicy(deflate=DeflatePolicy())
    assert handshake(policy, extensions=unknown).deflate is None
    response = handshake(policy, extensions=f"{unknown}, permessage-deflate")
    assert response.deflate == DeflateParameters(True, True)


@pytest.mark.parametrize("extensions", ["", " ", ",", ", ,"])
def test_empty_offer_of_extensions_offers_nothing(extensions):
    policy = HandshakePolicy(deflate=DeflatePolicy())
    assert handshake(policy, extensions=extensions) == HandshakeResponse(ACCEPT)


@pytest.mark.parametrize("spoken", [None, ["chat"], []])
@pytest.mark.parametrize("offers", BAD_SUBPROTOCOLS)
def test_bad_offer_of_subprotocols_is_refused(offers, spoken):
    caught = refusal(HandshakePolicy(subprotocols=spoken), protocols=offers)
    assert type(caught) is BadRequest
    assert "Sec-WebSocket-Protocol" in str(caught)


def test_response_says_what_section_4_2_2_asks_for():
    assert HandshakeResponse(ACCEPT).headers() == [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", ACCEPT),
    ]


def test_response_names_the_subprotocol_that_was_chosen():
    headers = HandshakeResponse(ACCEPT, "chat").headers()
    assert headers[3:] == [("Sec-WebSocket-Protocol", "chat")]
    assert headers[:3] == HandshakeResponse(ACCEPT).headers()


@pytest.mark.parametrize("value", [POLICY, HandshakeResponse(ACCEPT)])
def test_requests_policies_and_responses_are_values(value):
    assert replace(value) == value
    with pytest.raises(FrozenInstanceError):
        setattr(value, fields(value)[0].name, None)


@pytest.mark.parametrize("text", ["a", "chat", "A-Z.0_9", "!#$%&'*+-.^_`|~"])
def test_token(text):
    assert is_token(text)


@pytest.mark.parametrize(
    "text", ["", " ", " a", "a ", "a\n", "a b", "a,b", "a;b", "a/b", "(a)", '"a"', "a=b", "é", "@"]
)
def test_no_token(text):
    assert not is_token(text)


#: What a WSGI server may put into a header field: Latin-1, or nothing.
fields_of_requests = st.none() | st.text(st.characters(max_codepoint=255), max_size=20)


@MODEST
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("host", "upgrade", "connection", "version", "key", "origin", "protocols"),
            fields_of_requests,
        ),
    )
)
def test_any_request_is_answered_or_refused(changes):
    with suppress(HandshakeError):
        response = handshake(**changes)
        assert response.subprotocol is None or is_token(response.subprotocol)
        assert response.accept == accept_key((changes.get("key") or KEY).strip())
