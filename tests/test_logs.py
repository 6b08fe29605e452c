"""The logs, on real pipes and with real threads."""

import fcntl
import os
import resource
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from echo.logs import QUEUE_ENTRIES, LineLog, LogQueue, MessageLog
from echo.protocol.rfc6455 import Opcode
from tests.pipes import DEADLINE, Pipe

#: A line that no pipe holds in whole: whoever writes it waits for the reader.
TOO_LONG = "x" * 300_000


@pytest.fixture
def make_pipe():
    """Makes pipes; at the end no thread that wrote to one may be left."""
    before = set(threading.enumerate())
    pipes = []

    def make(encoding: str = "utf-8") -> Pipe:
        pipes.append(Pipe(encoding))
        return pipes[-1]

    yield make
    for pipe in pipes:
        # Whoever is still writing to it gives up now.
        pipe.stop_reading()
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE)
        assert not thread.is_alive(), f"{thread.name} is left behind"
    for pipe in pipes:
        with suppress(BrokenPipeError):
            pipe.stream.close()


@pytest.fixture
def pipe(make_pipe):
    return make_pipe()


@pytest.fixture
def make_queue():
    """Makes log queues, and closes them at the end."""
    queues = []

    def make(pipe: Pipe) -> LogQueue:
        queues.append(LogQueue(pipe.stream))
        return queues[-1]

    yield make
    for queue in queues:
        queue.close(0)


@pytest.fixture
def queue(pipe, make_queue):
    return make_queue(pipe)


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("log-")}


def within_the_deadline(act) -> None:
    """Do something that might block in a thread, and fail when it does."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "it blocks"


def get_stuck(pipe: Pipe, queue: LogQueue) -> None:
    """Have the queue's thread wait for the reader, with nothing else in the queue."""
    queue.put(str, TOO_LONG)
    pipe.wait()


def test_line_is_written(pipe, queue):
    LineLog(queue).write("10.0.0.1:1 sent: Hello")
    assert pipe.lines(1) == ["10.0.0.1:1 sent: Hello"]


def test_each_line_is_written_soon_and_not_only_at_the_end(pipe, queue):
    for i in range(20):
        queue.put(str, i)
        assert pipe.lines(1) == [str(i)]


def test_lines_keep_their_order(pipe, queue):
    for i in range(5000):
        queue.put(str, i)
    assert pipe.lines(5000) == [str(i) for i in range(5000)]


def test_empty_line_is_a_line(pipe, queue):
    for line in ("", "x", ""):
        queue.put(str, line)
    assert pipe.lines(3) == ["", "x", ""]


def test_many_threads_may_write(pipe, queue):
    def write(name: str) -> None:
        log = LineLog(queue)
        for i in range(500):
            log.write(f"{name} {i}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    lines = [line.split() for line in pipe.lines(4000)]
    for thread in threads:
        thread.join()
    assert Counter(name for name, _ in lines) == dict.fromkeys("abcdefgh", 500)
    for writer in "abcdefgh":
        assert [int(i) for name, i in lines if name == writer] == list(range(500))


def test_line_is_made_by_the_thread_and_not_by_who_logs(pipe, queue):
    queue.put(lambda: str(threading.get_ident()))
    (ident,) = pipe.lines(1)
    assert int(ident) in {thread.ident for thread in own_threads()}
    assert int(ident) != threading.get_ident()


def test_whatever_is_put_cannot_forge_a_line(pipe, queue):
    queue.put(lambda name, text: f"{name}: {text}", "\x1b]0;evil\x07", "a\nb\r\u2028c")
    queue.put(str, "next")
    assert pipe.lines(2) == [r"\x1b]0;evil\x07: a\nb\r\u2028c", "next"]


def test_stuck_output_stops_nobody_and_what_it_misses_is_counted(pipe, queue):
    get_stuck(pipe, queue)

    def put_too_many() -> None:
        for i in range(QUEUE_ENTRIES + 7):
            queue.put(str, i)

    within_the_deadline(put_too_many)
    assert pipe.lines(1) == [TOO_LONG]
    assert pipe.lines(QUEUE_ENTRIES) == [str(i) for i in range(QUEUE_ENTRIES)]
    assert pipe.lines(1) == ["(7 log lines dropped: the output was too slow)"]
    # It flows again, and nothing is counted twice.
    queue.put(str, "again")
    assert pipe.lines(1) == ["again"]
    queue.close(DEADLINE)
    assert pipe.rest() == b""


def test_each_time_is_counted_by_itself(pipe, queue):
    for dropped in (1, 2):
        get_stuck(pipe, queue)
        for _ in range(QUEUE_ENTRIES + dropped):
            queue.put(str, "")
        lines = pipe.lines(1 + QUEUE_ENTRIES + 1)
        assert lines[-1].startswith(f"({dropped} log lines dropped")
        assert not any(lines[1:-1])


def test_full_queue_without_a_drop_reports_none(pipe, queue):
    get_stuck(pipe, queue)
    for _ in range(QUEUE_ENTRIES):
        queue.put(str, "kept")
    assert set(pipe.lines(1 + QUEUE_ENTRIES)[1:]) == {"kept"}
    queue.close(DEADLINE)
    assert pipe.rest() == b""


def test_close_writes_what_is_queued_and_ends_the_thread(pipe, make_queue):
    before = own_threads()
    queue = make_queue(pipe)
    (thread,) = own_threads() - before
    for i in range(1000):
        queue.put(str, i)
    queue.close(DEADLINE)
    assert not thread.is_alive()
    assert pipe.rest().decode().split() == [str(i) for i in range(1000)]


def test_close_of_an_idle_queue_ends_the_thread(pipe, make_queue):
    before = own_threads()
    make_queue(pipe).close(DEADLINE)
    assert own_threads() == before
    assert pipe.rest() == b""


def test_close_may_be_repeated_and_late_lines_do_no_harm(pipe, queue):
    queue.put(str, "in time")
    queue.close(DEADLINE)
    queue.put(str, "late")
    queue.close(DEADLINE)
    assert pipe.rest() == b"in time\n"


@pytest.mark.parametrize("arguments", [(), (0.01,)])
def test_close_of_a_stuck_output_gives_up_after_its_timeout(pipe, make_queue, arguments):
    before = own_threads()
    queue = make_queue(pipe)
    (thread,) = own_threads() - before
    get_stuck(pipe, queue)
    queue.put(str, "last words")
    within_the_deadline(lambda: queue.close(*arguments))
    assert thread.is_alive()
    # Should it flow again after all, nothing is lost and the thread ends.
    assert pipe.lines(2) == [TOO_LONG, "last words"]
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_thread_of_a_stuck_output_does_not_keep_the_process_alive(pipe, queue):
    get_stuck(pipe, queue)
    assert {thread.daemon for thread in own_threads()} == {True}


def test_output_without_a_reader_does_no_harm(pipe, make_queue):
    before = own_threads()
    queue = make_queue(pipe)
    (thread,) = own_threads() - before
    pipe.stop_reading()
    for i in range(100):
        queue.put(str, i)
    queue.close(DEADLINE)
    assert not thread.is_alive()


def test_reader_that_leaves_in_the_middle_of_a_line_does_no_harm(pipe, make_queue):
    before = own_threads()
    queue = make_queue(pipe)
    (thread,) = own_threads() - before
    get_stuck(pipe, queue)
    pipe.stop_reading()
    made = threading.Event()
    queue.put(lambda: made.set() or "after")
    assert made.wait(DEADLINE), "the thread has ended"
    queue.close(DEADLINE)
    assert not thread.is_alive()


def test_full_disk_does_no_harm():
    before = own_threads()
    with Path("/dev/full").open("w", encoding="utf-8") as stream:
        queue = LogQueue(stream)
        (thread,) = own_threads() - before
        made = [threading.Event() for _ in range(3)]
        for event in made:
            queue.put(lambda event=event: event.set() or "lost")
            assert event.wait(DEADLINE), "the thread has ended"
        queue.close(DEADLINE)
        assert not thread.is_alive()


def test_output_that_does_not_block_loses_nothing(pipe, queue):
    os.set_blocking(pipe.stream.fileno(), False)
    get_stuck(pipe, queue)
    for i in range(1000):
        queue.put(str, i)
    assert pipe.lines(1001) == [TOO_LONG, *(str(i) for i in range(1000))]


def test_output_with_a_high_descriptor_is_waited_for_too(make_pipe, make_queue):
    """select() takes no descriptor of 1,024 and more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pipe = make_pipe()
    high = fcntl.fcntl(pipe.stream.fileno(), fcntl.F_DUPFD_CLOEXEC, 1500)
    pipe.stream.close()
    pipe.stream = open(high, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    os.set_blocking(high, False)
    queue = make_queue(pipe)
    get_stuck(pipe, queue)
    queue.put(str, "next")
    assert pipe.lines(2) == [TOO_LONG, "next"]


def test_long_line_is_written_whole(pipe, queue):
    line = "".join(f"{i} €😀 " for i in range(100_000))
    queue.put(str, line)
    queue.put(str, "next")
    assert pipe.lines(2) == [line, "next"]


@pytest.mark.parametrize("unsafe", ["\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u202e", "\ud800"])
def test_one_line_that_needs_it_is_escaped_among_many_that_do_not(pipe, queue, unsafe):
    plain = [f"line {number} ~" for number in range(50)]
    for line in [*plain, f"a{unsafe}b", *plain]:
        queue.put(str, line)
    assert pipe.lines(101) == [*plain, f"a{ascii(unsafe)[1:-1]}b", *plain]


def test_output_in_ascii_shows_other_characters_escaped(make_pipe, make_queue):
    pipe = make_pipe("ascii")
    queue = make_queue(pipe)
    queue.put(str, "né €😀")
    assert pipe.lines(1) == [r"n\xe9 \u20ac\U0001f600"]


def test_output_has_the_encoding_of_its_stream(make_pipe, make_queue):
    pipe = make_pipe("latin-1")
    queue = make_queue(pipe)
    queue.put(str, "né €")
    queue.close(DEADLINE)
    assert pipe.rest() == b"n\xe9 \\u20ac\n"


def test_two_queues_keep_apart(make_pipe, make_queue):
    stuck, free = make_pipe(), make_pipe()
    stuck_queue, free_queue = make_queue(stuck), make_queue(free)
    get_stuck(stuck, stuck_queue)
    free_queue.put(str, "undisturbed")
    assert free.lines(1) == ["undisturbed"]


def test_message_of_a_peer_is_written_as_its_line(pipe, queue):
    MessageLog(queue).write("10.0.0.1:1", Opcode.TEXT, "naïve €😀".encode())
    assert pipe.lines(1) == ["10.0.0.1:1 sent: naïve €😀"]
