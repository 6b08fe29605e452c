"""/ws/inspect and floods of tiny frames, each of which would get a hundred times its bytes."""

import json
from collections import deque
from threading import Thread

import pytest

from tests.e2e.inspected import Inspected, checked
from tests.e2e.server_process import DEADLINE
from tests.wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame

#: Frames, how many of them are a message, and how many are control frames.
TINY = {
    "empty texts": (frame(TEXT), 1, 0),
    "empty binaries": (frame(BINARY), 1, 0),
    "texts of one character": (frame(TEXT, b"x"), 1, 0),
    "fragments of one byte": (
        frame(TEXT, b"x", fin=False)
        + frame(CONTINUATION, b"x", fin=False) * 98
        + frame(CONTINUATION, b"x"),
        100,
        0,
    ),
    "pings": (frame(PING), 0, 1),
    "pongs": (frame(PONG), 0, 1),
    "pings between fragments": (
        frame(TEXT, fin=False) + frame(PING) + frame(CONTINUATION),
        2,
        1,
    ),
}

FLOOD = 200_000


@pytest.fixture
def inspected(echo_server):
    with Inspected(echo_server, timeout=4 * DEADLINE) as client:
        client.begin()
        yield client


def test_each_of_some_hundred_tiny_messages_and_pings_is_reported_in_full(inspected):
    inspected.send((frame(TEXT, b"x") + frame(PING)) * 500)
    for number in range(1, 501):
        message = inspected.report()
        assert (message["type"], message["number"]) == ("message", number)
        assert len(message["frames"]) == 1
        ping = inspected.report()
        assert ping["frame"]["payload_length"] == 0
        assert inspected.read_frame().opcode == PONG


@pytest.mark.parametrize("kind", TINY)
def test_a_flood_of_tiny_frames_gets_back_less_than_twenty_times_its_bytes(inspected, kind):
    unit, fragments, controls = TINY[kind]
    flood = unit * (FLOOD // len(unit))
    behind = frame(BINARY, bytes(4096)) + close_frame(1000)
    sender = Thread(target=inspected.send, args=(flood, behind))
    sender.start()
    came, numbers, others, brief, last = 0, [], 0, [], deque(maxlen=2)
    while (one := inspected.read_frame()).opcode != CLOSE:
        came += len(one.payload) + (2 if len(one.payload) < 126 else 4)
        if one.opcode == TEXT:
            report = json.loads(one.payload)
            last.append(one.payload)
            if report["type"] == "message":
                numbers.append(report["number"])
            else:
                others += 1
            if not {"frame", "frames"} & report.keys():
                brief.append(one.payload)
    sender.join(4 * DEADLINE)
    assert came < 20 * len(flood)
    times = FLOOD // len(unit)
    # Nothing is left out, and what comes behind the flood is told in full again.
    assert numbers == list(range(1, bool(fragments) * times + 2))
    assert others == controls * times + 1
    message, close = map(checked, last)
    assert (message["bytes"], len(message["frames"]), close["type"]) == (4096, 1, "close")
    assert len(brief) > times // 10
    for report in map(checked, brief[:10] + brief[-10:]):
        assert report["frames_omitted"] == (fragments if report["type"] == "message" else 1)
