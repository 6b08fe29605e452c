"""Attacks behind the opening handshake, each with the exact answer that it gets."""

import re
import select
import struct
from contextlib import ExitStack
from socket import SHUT_WR

import pytest

from tests.e2e.crowd import Crowd
from tests.e2e.raw_client import Frame, open_websocket, wait_for_logs
from tests.e2e.server_process import DEADLINE, memory
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_frame,
    frame,
    frame_header,
)

MEBIBYTE = 1 << 20


def read_failure(client):
    """Read a close frame with a reason and the end of the stream; the code and the reason."""
    opcode, payload, _, _ = client.read_frame()
    assert opcode == CLOSE
    client.read_end()
    code, reason = struct.unpack("!H", payload[:2])[0], payload[2:]
    assert 0 < len(reason) <= 123
    return code, reason.decode()


def assert_echoes(client, text="healthy"):
    client.send(frame(TEXT, text))
    assert client.read_frame() == Frame(TEXT, text.encode())


# ---- Lengths


LENGTHS = {
    "2^62": (frame_header(BINARY, 1 << 62), 1009),
    "2^62 of text, not the last": (frame_header(TEXT, 1 << 62, fin=False), 1009),
    "2^63 - 1": (frame_header(BINARY, (1 << 63) - 1), 1009),
    "the top bit": (frame_header(BINARY, 1 << 63), 1002),
    "all bits": (frame_header(TEXT, (1 << 64) - 1), 1002),
    "2^62 behind a byte": (
        frame(TEXT, "x", fin=False) + frame_header(CONTINUATION, 1 << 62),
        1009,
    ),
}
#: More valid traffic than one receive and any turn take: its echoes come all, and before.
VALID = frame(BINARY, bytes(range(256)) * 64) * 64


@pytest.mark.parametrize("how", ["in one go", "byte by byte", "behind 1 MiB"])
@pytest.mark.parametrize(("header", "code"), LENGTHS.values(), ids=LENGTHS)
def test_a_length_beyond_all_measure_is_answered_at_once(echo_server, header, code, how):
    with open_websocket(echo_server) as client:
        if how == "byte by byte":
            client.send_each_byte(header)
        elif how == "in one go":
            client.send(header)
        else:
            client.send(VALID, header)
            for _ in range(64):
                same = client.read_frame() == Frame(BINARY, bytes(range(256)) * 64)
                assert same
        assert read_failure(client)[0] == code


# ---- Memory


def test_zero_length_fragments_take_no_memory(start_server):
    """Hundreds of thousands of them inside of one message, which comes back when it ends."""
    server = start_server("--quiet")
    empty = frame(CONTINUATION, fin=False)
    with open_websocket(server) as client, open_websocket(server) as healthy:
        client.sock.settimeout(5 * DEADLINE)
        client.send(frame(TEXT, "one ", fin=False), empty * 20_000, frame(PING, "so far"))
        assert client.read_frame() == Frame(PONG, b"so far")
        before = memory(server)
        for count in range(6):
            client.send(empty * 50_000)
            assert_echoes(healthy, f"{count}")
        client.send(frame(PING, "so far"))
        assert client.read_frame() == Frame(PONG, b"so far")
        client.send(frame(CONTINUATION, "message"))
        assert client.read_frame() == Frame(TEXT, b"one message")
        assert memory(server, "VmHWM") - before < 4 * MEBIBYTE
        assert_echoes(client)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_announced_messages_take_no_memory(start_server, opcode):
    """Of 16 MiB each, 16,000 together: what counts is what has come, and that is a few bytes."""
    server = start_server("--quiet")
    header = frame_header(opcode, 16 * MEBIBYTE, key=bytes(4))
    with open_websocket(server) as healthy, Crowd(server) as crowd:
        peers = crowd.join_websockets(1000)
        for peer in peers:
            peer.send(frame(PING, "here"))
        crowd.wait_until(lambda peer: peer.received == b"\x8a\x04here")
        before = memory(server)
        for peer in peers:
            peer.send(header)
        for count in range(20):
            for peer in peers:
                peer.send(b"x")
            assert_echoes(healthy, f"{count}")
        for peer in peers:
            peer.sock.shutdown(SHUT_WR)
        crowd.wait_until(lambda peer: peer.ended)
        answers = {(bytes(peer.received), peer.ended) for peer in peers}
        assert answers == {(b"\x8a\x04here", "end")}
        # 8 KiB for each of them: a two thousandth of what it announced.
        assert memory(server, "VmHWM") - before < 8 * MEBIBYTE
        wait_for_logs(server)
    arrived = len(frame(PING, "here")) + len(header) + 20
    lost = "1006 (end of stream in the middle of a message, without a close frame), ended by "
    ends = server.stderr.matching(
        rf" closed: {re.escape(lost)}.* received 0 messages \({arrived} bytes\), "
    )
    assert len(ends) == len(peers)


def test_connections_that_fall_silent_after_a_large_message_keep_none_of_it(start_server):
    server = start_server("--quiet")
    message = frame(BINARY, bytes(8 * MEBIBYTE), key=bytes(4))
    before = memory(server)
    with ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(open_websocket(server))
            client.send(message)
            assert len(client.read_frame().payload) == 8 * MEBIBYTE
        # What the allocator keeps of one message, and not 160 MiB.
        assert memory(server) - before < 40 * MEBIBYTE


FULL = "the server's memory for unfinished messages is used up"
BUDGET = "8388608"


def stalled(size=MEBIBYTE):
    """A message of ``size`` bytes without its last one."""
    return frame_header(BINARY, size, key=bytes(4)) + bytes(size - 1)


def test_stalled_messages_end_and_the_others_go_on(start_server):
    """Many large messages without an end take the whole budget and harm only each other."""
    server = start_server("--quiet", "--receive-budget", BUDGET, "--max-message-size", "1048576")
    with ExitStack() as stack:
        healthy = stack.enter_context(open_websocket(server))
        attackers = [stack.enter_context(open_websocket(server)) for _ in range(17)]
        for attacker in attackers:
            attacker.send(stalled())
            for size in (10, 70_000, 300_000):
                healthy.send(frame(BINARY, bytes(size), fin=False), frame(CONTINUATION, b"end"))
                assert healthy.read_frame() == Frame(BINARY, bytes(size) + b"end")
        ended = [one for one in attackers if select.select([one.sock], [], [], 0)[0]]
        assert len(ended) >= 17 - 9
        for attacker in ended:
            assert read_failure(attacker) == (1013, FULL)
        ended[0].sock.close()
        assert ended[0].log_line() == f"closed: 1013 ({FULL}), ended by the server"


def test_who_does_not_read_its_large_messages_gives_way_to_others(start_server):
    server = start_server("--quiet", "--receive-budget", BUDGET, "--write-timeout", "1000")
    with ExitStack() as stack:
        healthy = stack.enter_context(open_websocket(server))
        stuck = [stack.enter_context(open_websocket(server, receive_buffer=4096)) for _ in range(4)]
        for client in stuck:
            client.send(frame(BINARY, bytes(7 * MEBIBYTE)))
        for _ in range(10):
            healthy.send(frame(BINARY, bytes(4 * MEBIBYTE)))
            assert healthy.read_frame() == Frame(BINARY, bytes(4 * MEBIBYTE))
        assert server.stderr.wait_for_line(rf"closed: 1006 \({FULL}\), ended by the server")


def test_who_was_refused_holds_nothing_while_it_lingers(start_server):
    """A peer that is told 1013 and stays connected leaves its memory to others at once."""
    server = start_server("--quiet", "--receive-budget", "100000", "--close-timeout", "1000")
    with open_websocket(server) as greedy, open_websocket(server) as healthy:
        greedy.send(frame(BINARY, bytes(200_000), fin=False))
        assert read_failure(greedy)[0] == 1013
        healthy.send(frame(BINARY, bytes(150_000), fin=False), frame(CONTINUATION, b"end"))
        assert healthy.read_frame() == Frame(BINARY, bytes(150_000) + b"end")


def test_a_large_message_that_never_ends_is_closed_after_its_time(start_server):
    server = start_server("--quiet", "--message-timeout", "0.5")
    with open_websocket(server) as slow, open_websocket(server) as small:
        small.send(frame(TEXT, "a breakpoint may be as long as it likes", fin=False))
        slow.send(stalled())
        reason = "message above 64 KiB took longer than 0.5 s"
        assert read_failure(slow) == (1008, reason)
        small.send(frame(CONTINUATION))
        assert small.read_frame().payload == b"a breakpoint may be as long as it likes"


# ---- Times


def test_a_quiet_peer_is_pinged_and_closed(start_server):
    server = start_server(
        "--quiet", "--ping-interval", "0.1", "--ping-timeout", "0.2", "--close-timeout", "0.2"
    )
    with open_websocket(server) as client:
        assert client.read_frame() == Frame(PING, b"")
        assert read_failure(client) == (1011, "no answer to a ping in 0.2 s")
        client.sock.close()
        line = client.log_line()
    assert line == "closed: 1011 (no answer to a ping in 0.2 s), ended by the server"


def test_who_never_answers_the_close_is_aborted(start_server):
    options = ("--ping-interval", "0.1", "--ping-timeout", "0.1", "--close-timeout", "0.2")
    server = start_server("--quiet", *options)
    with open_websocket(server) as client:
        assert client.read_frame() == Frame(PING, b"")
        assert client.read_close() == 1011
        assert client.log_line().startswith("closed: 1011 ")  # though it is still there


def test_who_does_not_read_is_aborted_and_others_go_on(start_server):
    server = start_server("--quiet", "--write-timeout", "0.5")
    with open_websocket(server, receive_buffer=4096) as stuck, open_websocket(server) as healthy:
        stuck.send(frame(BINARY, bytes(16 * MEBIBYTE)))
        count = 0
        while not server.stderr.matching(rf"^{stuck.address} closed: 1006 "):
            count += 1
            assert_echoes(healthy, f"{count}")
        assert len(server.stderr.lines) == 1


# ---- The one line

FIGURES = (
    r", after \d+\.\d{3} s, received (\d+) messages? \((\d+) bytes?\), "
    r"sent (\d+) messages? \((\d+) bytes?\)"
)

ENDS = {
    "its own close": (close_frame(1000, b"bye"), r"1000 \(bye\), ended by the peer"),
    "close without a code": (close_frame(), r"1005, ended by the peer|1005 \(.*\), ended by .*"),
    "a violation": (frame(3), r"1002 \(.+\), ended by the server"),
    "no text": (frame(TEXT, b"\xff"), r"1007 \(.+\), ended by the server"),
    "too big": (frame_header(BINARY, 1 << 62), r"1009 \(.+\), ended by the server"),
    "gone": (b"", r"1006 \(.+\), ended by .+"),
    "gone in a frame": (frame(TEXT, "x" * 90)[:50], r"1006 \(.+\), ended by .+"),
    "line breaks": (
        close_frame(1000, "a\r\nb \x1b[31m \u202e \x9b \x07".encode()),
        r"1000 \([!-~ ]*\), ended by the peer",
    ),
}


@pytest.mark.parametrize(("end", "pattern"), ENDS.values(), ids=ENDS)
def test_one_line_for_each_end(echo_server, end, pattern):
    position = echo_server.stderr.position
    with open_websocket(echo_server) as client:
        sent = frame(TEXT, "one") + frame(BINARY, "four")
        client.send(sent, end)
        assert client.read_frame() == Frame(TEXT, b"one")
        assert client.read_frame() == Frame(BINARY, b"four")
        client.send_end()
        if end and not end.startswith(frame_header(TEXT, 90)[:2]):
            assert client.read_frame().opcode == CLOSE
        client.read_end()
    client.log_line()  # exactly one
    (line,) = echo_server.stderr.matching(rf"^{re.escape(client.address)} ", position)
    match = re.fullmatch(rf"{re.escape(client.address)} closed: (?:{pattern}){FIGURES}", line)
    assert match, line
    messages_in, bytes_in, messages_out, bytes_out = map(int, match.groups())
    assert (messages_in, messages_out) == (2, 2)
    assert bytes_in == len(sent) + len(end)
    assert 11 <= bytes_out <= 11 + 4 + 123
