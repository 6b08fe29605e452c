"""One WebSocket without sockets: what is answered, how it closes, how it fails."""

import pytest

from echo.protocol.budget import BudgetShare, ReceiveBudget
from echo.protocol.errors import (
    Cause,
    ClosedByPeer,
    ClosedByServer,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionLost,
    ProtocolError,
)
from echo.protocol.frames import Close, Frame
from echo.protocol.messages import MessageParser
from echo.protocol.rfc6455 import CloseCode, Opcode
from echo.protocol.session import Session, State
from tests.protocol.streams import LIMIT, Owner
from tests.wire import frame

TEXT, BINARY, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG


def new_session(limit=LIMIT):
    owner = Owner()
    share = BudgetShare(ReceiveBudget(100 * limit), owner)
    owner.parser = MessageParser(limit, share)
    return Session(owner.parser, share)


def bytes_of(session):
    """What the session wants to send, as one string of bytes."""
    return b"".join(session.data_to_send())


def give(session, *frames):
    data = b"".join(frames)
    session.receive(data, len(data))


def echo(session):
    """What the service's loop does with all that has arrived."""
    for event in session.events:
        if event[0] in {TEXT, BINARY}:
            session.send_message(*event)
        else:
            session.respond(*event)
    if session.parser.failure is not None and session.ended is None:
        session.fail(session.parser.failure)
    return bytes_of(session)


def answer(opcode, payload=b""):
    return Frame(opcode, payload).serialize()


def assert_over(session, ended):
    """It is CLOSED, raises how it ended, and nothing that comes later changes that."""
    assert session.state is State.CLOSED
    assert session.ended is ended
    for call in (lambda: session.send_message(TEXT, b"late"), session.ping):
        with pytest.raises(ConnectionClosed) as raised:
            call()
        assert raised.value is ended
    give(session, frame(TEXT, b"late"), frame(PING), frame(CLOSE))
    assert echo(session) == b""
    session.close(ClosedByServer(1000))
    assert session.ended is ended
    assert bytes_of(session) == b""
    assert session.share.size == 0


# ---- Messages and pings


def test_answers_leave_in_the_order_of_what_they_answer():
    session = new_session()
    give(session, frame(TEXT, b"one"), frame(PING, b"two"), frame(BINARY, b"three"))
    assert echo(session) == answer(TEXT, b"one") + answer(PONG, b"two") + answer(BINARY, b"three")
    assert session.state is State.OPEN
    assert session.messages_out == 2


def test_the_queue_says_how_many_payload_bytes_it_holds():
    session = new_session()
    assert session.send_message(TEXT, b"x" * 100) == 100
    assert session.send_message(BINARY, b"y" * 300) == 400
    assert bytes_of(session) == answer(TEXT, b"x" * 100) + answer(BINARY, b"y" * 300)
    assert session.send_message(TEXT, b"z") == 1


def test_a_ping_may_come_between_fragments():
    session = new_session()
    give(session, frame(TEXT, b"a", fin=False), frame(PING, b"now"))
    assert echo(session) == answer(PONG, b"now")
    give(session, frame(CONTINUATION, b"b"))
    assert echo(session) == answer(TEXT, b"ab")


def test_the_pong_of_the_last_ping_gives_the_round_trip():
    session = new_session()
    session.ping(b"old")
    session.ping(b"new")
    assert bytes_of(session) == answer(PING, b"old") + answer(PING, b"new")
    give(session, frame(PONG, b"old"), frame(PONG, b"unasked"), frame(PONG))
    assert echo(session) == b""
    assert session.last_round_trip is None
    give(session, frame(PONG, b"new"))
    echo(session)
    first = session.last_round_trip
    assert first >= 0
    give(session, frame(PONG, b"new"))
    echo(session)
    assert session.last_round_trip is first


def test_a_ping_carries_at_most_125_bytes():
    session = new_session()
    session.ping(b"x" * 125)
    with pytest.raises(ValueError, match="125"):
        session.ping(b"x" * 126)
    assert bytes_of(session) == answer(PING, b"x" * 125)


# ---- The closing handshake


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"", 1005, ""),
        (b"\x03\xe8", 1000, ""),
        (b"\x03\xe9", 1001, ""),
        (b"\x03\xe8no more", 1000, "no more"),
        (b"\x0b\xb8" + "tschüß".encode(), 3000, "tschüß"),
        (b"\x13\x87" + b"r" * 123, 4999, "r" * 123),
    ],
)
def test_a_close_frame_is_answered_once_with_its_code(payload, code, reason):
    session = new_session()
    give(session, frame(TEXT, b"one"), frame(CLOSE, payload), frame(PING, b"late"))
    assert echo(session) == answer(TEXT, b"one") + answer(CLOSE, payload[:2])
    ended = session.ended
    assert type(ended) is ClosedByPeer
    assert (ended.code, ended.reason, ended.cause) == (code, reason, Cause.PEER_CLOSE)
    assert_over(session, ended)


def test_a_close_of_the_server_waits_for_the_peers():
    session = new_session()
    give(session, frame(TEXT, b"unanswered"))
    session.send_message(TEXT, b"before")
    end = ClosedByServer(1001, "bye")
    session.close(end)
    assert bytes_of(session) == answer(TEXT, b"before") + answer(
        CLOSE, Close(1001, "bye").serialize()
    )
    assert session.state is State.CLOSING
    assert session.ended is end
    give(session, frame(TEXT, b"on its way"), frame(PING, b"on its way"))
    assert session.state is State.CLOSING
    assert list(session.events) == []
    give(session, frame(CLOSE, b"\x03\xe9"))
    assert bytes_of(session) == b""
    assert_over(session, end)


def test_a_close_frame_that_has_arrived_already_ends_the_closing_handshake():
    session = new_session()
    give(session, frame(TEXT, b"first"), frame(CLOSE))
    next(session.events)
    end = ClosedByServer(1000)
    session.close(end)
    assert bytes_of(session) == answer(CLOSE, b"\x03\xe8")
    assert_over(session, end)


@pytest.mark.parametrize("bad", [b"\x81\x01x", frame(0x3), frame(TEXT, b"\xff")])
def test_a_violation_while_closing_ends_it_without_a_second_close_frame(bad):
    session = new_session()
    end = ClosedByServer(1000)
    session.close(end)
    bytes_of(session)
    give(session, bad)
    assert bytes_of(session) == b""
    assert_over(session, end)


def test_a_code_that_may_not_be_sent_leaves_the_session_open():
    session = new_session()
    for code in (0, 999, 1004, 1006, 1015, 5000):
        with pytest.raises(ValueError, match=str(code)):
            session.close(ClosedByServer(code))
    assert session.state is State.OPEN
    give(session, frame(TEXT, b"still"))
    assert echo(session) == answer(TEXT, b"still")


def test_a_long_reason_is_cut_between_characters():
    session = new_session()
    session.close(ClosedByServer(1000, "é" * 100))
    assert bytes_of(session) == answer(CLOSE, b"\x03\xe8" + "é".encode() * 61)


# ---- Failing


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\x81\x01x", 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(TEXT, b"a\xff"), 1007),
        (frame(BINARY, bytes(LIMIT + 1))[:8], 1009),
    ],
    ids=["unmasked", "close of one byte", "not UTF-8", "too big"],
)
def test_a_violation_fails_it_behind_the_answers_to_what_was_good(bad, code):
    session = new_session()
    give(session, frame(TEXT, b"good"), frame(PING, b"too"), bad, frame(TEXT, b"late"))
    sent = echo(session)
    ended = session.ended
    close = Close(code, ended.reason).serialize()
    assert sent == answer(TEXT, b"good") + answer(PONG, b"too") + answer(CLOSE, close)
    assert type(ended) is ConnectionFailed
    assert (ended.code, ended.initiator) == (code, "server")
    assert ended.__cause__ is session.parser.failure
    assert_over(session, ended)


def test_what_was_evicted_fails_like_a_violation():
    session = new_session()
    give(session, frame(BINARY, b"part", fin=False))
    session.share.end(ProtocolError("no room"))
    assert echo(session) == answer(CLOSE, Close(CloseCode.PROTOCOL_ERROR, "no room").serialize())
    assert_over(session, session.ended)


# ---- The end of TCP


@pytest.mark.parametrize(
    ("received", "where"),
    [
        (b"", "between messages"),
        (frame(TEXT, b"whole"), "between messages"),
        (frame(TEXT, b"half")[:-1], "in the middle of a message"),
        (frame(TEXT, b"half", fin=False), "in the middle of a message"),
        (frame(PING, b"half")[:3], "in the middle of a message"),
    ],
)
def test_an_end_of_stream_says_where_it_came(received, where):
    session = new_session()
    give(session, received)
    echo(session)
    lost = session.receive_eof()
    assert (lost.code, lost.cause) == (1006, Cause.END_OF_STREAM)
    assert lost.reason == f"end of stream {where}, without a close frame"
    assert_over(session, lost)


def test_an_end_of_stream_while_closing_is_the_servers_close():
    session = new_session()
    end = ClosedByServer(1000)
    session.close(end)
    bytes_of(session)
    session.receive_eof()
    assert_over(session, end)


def test_what_is_lost_sends_nothing_more():
    session = new_session()
    session.send_message(TEXT, b"unsent")
    lost = ConnectionLost("reset", Cause.RESET)
    session.lose(lost)
    assert bytes_of(session) == b""
    assert_over(session, lost)


def test_nothing_is_sent_once_it_has_ended():
    session = new_session()
    lost = session.receive_eof()
    for send in (session.send_message, lambda *_: session.ping()):
        with pytest.raises(ConnectionLost) as raised:
            send(TEXT, b"too late")
        assert raised.value is lost
    assert bytes_of(session) == b""
