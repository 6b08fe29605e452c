"""The queue and the thread behind it."""

from collections.abc import Sequence
from queue import Queue
from threading import Event

import pytest

from echo.background_writer import BATCH, QUEUE_BYTES, QUEUE_ENTRIES, BackgroundWriter, close_all
from tests.pipes import DEADLINE


class Output:
    """Takes batches, as soon as it may."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[object], int]] = []
        self.asked = Event()
        self.may_write = Event()

    def write(self, entries: Sequence[object], dropped: int) -> None:
        self.asked.set()
        assert self.may_write.wait(DEADLINE)
        self.batches.append((list(entries), dropped))

    @property
    def entries(self) -> list[object]:
        return [entry for entries, _ in self.batches for entry in entries]

    @property
    def dropped(self) -> int:
        return sum(dropped for _, dropped in self.batches)


@pytest.fixture
def output():
    output = Output()
    yield output
    output.may_write.set()


@pytest.fixture
def writer(output):
    writer = BackgroundWriter("test", output.write)
    yield writer
    output.may_write.set()
    writer.close(DEADLINE)


def get_stuck(writer: BackgroundWriter[object], output: Output) -> None:
    """Have the thread wait for the output, with nothing else queued."""
    writer.put("first")
    assert output.asked.wait(DEADLINE)


def test_entries_are_written_in_their_order_and_in_batches(writer, output):
    output.may_write.set()
    for number in range(3 * BATCH):
        writer.put(number)
    assert writer.close(DEADLINE) == 0
    assert output.entries == list(range(3 * BATCH))
    assert max(len(entries) for entries, _ in output.batches) <= BATCH
    assert writer.dropped == output.dropped == 0


def test_queue_is_bounded_in_entries(writer, output):
    get_stuck(writer, output)
    for number in range(QUEUE_ENTRIES + 3):
        writer.put(number)
    assert writer.dropped == 3
    output.may_write.set()
    writer.close(DEADLINE)
    assert output.entries == ["first", *range(QUEUE_ENTRIES)]
    assert output.dropped == 3


def test_queue_is_bounded_in_bytes(writer, output):
    get_stuck(writer, output)
    size = QUEUE_BYTES // 4
    for number in range(6):
        writer.put(number, size)
    assert writer.dropped == 2
    output.may_write.set()
    writer.close(DEADLINE)
    assert output.entries == ["first", 0, 1, 2, 3]


def test_bytes_that_are_written_leave_the_queue():
    written: Queue[list[object]] = Queue()
    writer = BackgroundWriter("test", lambda entries, _: written.put(entries))
    for number in range(3):
        writer.put(number, QUEUE_BYTES)
        assert written.get(timeout=DEADLINE) == [number]
    writer.close(DEADLINE)
    assert writer.dropped == 0


def test_close_of_a_stuck_writer_says_how_many_entries_it_has_not_taken(writer, output):
    get_stuck(writer, output)
    for number in range(5):
        writer.put(number)
    assert writer.close(0.01) == 5


def test_pause_ends_when_the_writer_is_closed():
    ended = Event()

    def write(*_: object) -> None:
        writer.pause(10 * DEADLINE)
        ended.set()

    writer = BackgroundWriter("test", write)
    writer.put("entry")
    writer.close(DEADLINE)
    assert ended.is_set()


def test_writers_are_closed_within_one_timeout():
    outputs = [Output(), Output()]
    writers = [BackgroundWriter("test", output.write) for output in outputs]
    for writer, output in zip(writers, outputs, strict=True):
        get_stuck(writer, output)
        writer.put("last")
    outputs[1].may_write.set()
    close_all(writers, 0.5)
    # The first one is stuck, and the second is not kept from writing by it.
    assert outputs[0].entries == []
    assert outputs[1].entries == ["first", "last"]
    outputs[0].may_write.set()
    close_all(writers, DEADLINE)
    assert outputs[0].entries == ["first", "last"]
