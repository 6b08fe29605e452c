"""What a proxy has dropped of a handshake: what is said of it, and what keeps it."""

import pytest

from echo.protocol.errors import HandshakeError
from echo.protocol.handshake import HandshakePolicy, negotiate
from echo.protocol.http_head import RequestHead
from echo.protocol.lost_fields import CURES, is_handshake, sign_of_proxy

HANDSHAKE = {
    "Host": "echo.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def head(version="1.1", without=(), **more):
    """The head of a handshake; ``more``: fields with underscores for hyphens."""
    fields = HANDSHAKE | {name.replace("_", "-"): value for name, value in more.items()}
    kept = [(name, value) for name, value in fields.items() if name not in without]
    return RequestHead.of("GET", "/ws/echo", version, kept)


def refusal(request):
    with pytest.raises(HandshakeError) as caught:
        negotiate(request, HandshakePolicy(), host=request.host, scheme=None)
    return caught.value


SIGNS = [
    ({"Via": "1.1 proxy"}, "Via: 1.1 proxy"),
    ({"X_Forwarded_For": "192.0.2.1"}, "X-Forwarded-For: 192.0.2.1"),
    ({"X_Forwarded_Proto": "https"}, "X-Forwarded-Proto: https"),
    ({"Forwarded": "for=192.0.2.1"}, "Forwarded: for=192.0.2.1"),
    ({"X_Real_IP": "192.0.2.1"}, "X-Real-IP: 192.0.2.1"),
    ({"version": "1.0"}, "HTTP/1.0"),
    ({"Via": "v" * 300}, f"Via: {'v' * 55}..."),
]


@pytest.mark.parametrize(("changes", "sign"), SIGNS)
def test_a_proxy_is_known_by_what_it_adds(changes, sign):
    assert sign_of_proxy(head(**changes)) == sign


def test_a_client_alone_has_no_sign_of_a_proxy():
    assert sign_of_proxy(head()) is None


@pytest.mark.parametrize(("changes", "sign"), SIGNS)
@pytest.mark.parametrize("lost", ["Upgrade", "Connection"])
def test_the_proxy_is_named_that_has_dropped_a_field(changes, sign, lost):
    refused = refusal(head(without=[lost], **changes))
    assert refused.status == 426
    assert str(refused).startswith(f"The request lacks '{lost}: ")
    assert str(refused).endswith(f" A proxy on the way has dropped it, to judge by {sign}.")
    assert refused.cures == CURES


@pytest.mark.parametrize("lost", ["Sec-WebSocket-Key", "Sec-WebSocket-Version"])
def test_other_fields_of_the_handshake_can_be_lost_too(lost):
    refused = refusal(head(without=[lost], Via="1.1 proxy"))
    assert refused.status == {"Sec-WebSocket-Key": 400, "Sec-WebSocket-Version": 426}[lost]
    assert str(refused).startswith(f"The request lacks '{lost}: ")
    assert "A proxy on the way has dropped it" in str(refused)


def test_without_a_sign_it_may_be_the_client():
    assert "Either the client has not sent that, or a proxy" in str(
        refusal(head(without=["Upgrade"]))
    )


def test_a_field_with_another_value_is_shown():
    refused = refusal(head(Connection="close"))
    assert "has 'Connection: close' instead of 'Connection: Upgrade'" in str(refused)


def test_a_handshake_in_an_old_version_of_http_comes_from_a_proxy():
    refused = refusal(head(version="1.0"))
    assert refused.status == 505
    assert refused.cures == CURES


def test_a_request_that_asks_for_no_websocket_has_lost_nothing():
    plain = RequestHead.of(
        "GET", "/ws/echo", "1.1", [("Host", "a"), ("X-Forwarded-For", "192.0.2.1")]
    )
    assert not is_handshake(plain)
    refused = refusal(plain)
    assert str(refused) == "This is a WebSocket: the request lacks 'Upgrade: websocket'."
    assert not refused.cures


@pytest.mark.parametrize("proxy", ["nginx", "HAProxy", "Apache"])
def test_each_proxy_has_its_lines(proxy):
    assert len([cure for cure in CURES if cure.startswith(proxy)]) == 2
