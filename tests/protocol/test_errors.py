"""The exceptions: their statuses and close codes, what they say, what catches them."""

from http import HTTPStatus

import pytest

from echo.protocol.errors import (
    BadRequest,
    CannotUpgrade,
    Cause,
    ClosedByPeer,
    ClosedByServer,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionLost,
    ForbiddenOrigin,
    HandshakeError,
    HTTPVersionNotSupported,
    InvalidPayload,
    MessageTooBig,
    MethodNotAllowed,
    ProtocolError,
    ProtocolViolation,
    RequestError,
    TryAgainLater,
    UpgradeRequired,
    WebSocketError,
)
from echo.protocol.rfc6455 import SENDABLE_CLOSE_CODES

REFUSALS = [
    (BadRequest, 400),
    (ForbiddenOrigin, 403),
    (MethodNotAllowed, 405),
    (UpgradeRequired, 426),
    (CannotUpgrade, 501),
    (HTTPVersionNotSupported, 505),
]
VIOLATIONS = [
    (ProtocolError, 1002),
    (InvalidPayload, 1007),
    (MessageTooBig, 1009),
    (TryAgainLater, 1013),
]
ENDS = [
    (ClosedByPeer, "peer"),
    (ClosedByServer, "server"),
]


@pytest.mark.parametrize(("error", "status"), REFUSALS)
def test_refusal_has_its_http_status(error, status):
    assert error("why").status == HTTPStatus(status)


def test_every_refusal_is_in_the_table():
    assert {error for error, _ in REFUSALS} == set(HandshakeError.__subclasses__())


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (BadRequest, []),
        (ForbiddenOrigin, []),
        (MethodNotAllowed, [("Allow", "GET")]),
        (
            UpgradeRequired,
            [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
            ],
        ),
        (CannotUpgrade, []),
        (HTTPVersionNotSupported, []),
    ],
)
def test_refusal_has_the_header_fields_that_its_status_asks_for(error, headers):
    assert list(error("why").headers) == headers


@pytest.mark.parametrize(("error", "code"), VIOLATIONS)
def test_violation_has_its_close_code(error, code):
    assert error("why").code == code
    assert error("why").code in SENDABLE_CLOSE_CODES


def test_every_violation_is_in_the_table():
    assert {error for error, _ in VIOLATIONS} == set(ProtocolViolation.__subclasses__())


@pytest.mark.parametrize(("error", "initiator"), ENDS)
def test_end_has_code_reason_and_who_began(error, initiator):
    end = error(4000, "enough")
    assert (end.code, end.reason, end.initiator) == (4000, "enough", initiator)
    assert repr(end) == f"{error.__name__}(4000, 'enough')"


@pytest.mark.parametrize(("error", "initiator"), ENDS)
def test_end_in_one_line(error, initiator):
    assert str(error(4000, "enough")) == f"4000 (enough), ended by the {initiator}"
    assert str(error(1000)) == f"1000, ended by the {initiator}"


@pytest.mark.parametrize(("violation", "code"), VIOLATIONS)
def test_a_failure_has_code_reason_and_cause_of_its_violation(violation, code):
    end = ConnectionFailed(violation("why"))
    assert (end.code, end.reason, end.initiator) == (code, "why", "server")
    assert end.cause is violation.cause


@pytest.mark.parametrize(
    ("error", "cause", "initiator"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), Cause.RESET, "peer"),
        (BrokenPipeError(32, "Broken pipe"), Cause.RESET, "peer"),
        (TimeoutError("nothing happened for 30 s"), Cause.WRITE_TIMEOUT, "server"),
        (TimeoutError(110, "Connection timed out"), Cause.NETWORK_ERROR, "peer"),
        (OSError(113, "No route to host"), Cause.NETWORK_ERROR, "peer"),
    ],
)
def test_what_an_error_of_the_socket_means(error, cause, initiator):
    end = ConnectionLost.after(error)
    assert (end.code, end.cause, end.initiator) == (1006, cause, initiator)
    assert end.reason == error.strerror or str(error)


def test_end_has_no_reason_unless_given():
    assert ClosedByPeer(1005).reason == ""


def test_a_close_code_is_shown_as_a_number():
    assert str(ConnectionFailed(ProtocolError("x"))).startswith("1002 (x)")


def test_lost_connection_is_1006_of_the_peer():
    end = ConnectionLost("end of file")
    assert (end.code, end.reason, end.initiator) == (1006, "end of file", "peer")
    assert str(end) == "1006 (end of file), ended by the peer"
    assert end.args == (1006, "end of file")


def test_every_end_is_in_the_table():
    ends = {*(error for error, _ in ENDS), ConnectionFailed, ConnectionLost}
    assert ends == set(ConnectionClosed.__subclasses__())


def test_one_except_clause_catches_each_kind():
    kinds = {HandshakeError, RequestError, ProtocolViolation, ConnectionClosed}
    assert set(WebSocketError.__subclasses__()) == kinds
    # None of them may be taken for an error of the network or of a value.
    assert not issubclass(WebSocketError, OSError | ValueError)
