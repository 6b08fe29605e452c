"""The logs, on real pipes and with real threads."""

import fcntl
import os
import resource
import threading
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from echo.background_writer import QUEUE_ENTRIES
from echo.log_formats import FORMATS
from echo.logs import DISTINCT_FAULTS, HEX_BYTES, MESSAGE_BYTES, FaultLog, LogOutput, MessageLog
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
def make_output():
    """Makes outputs of a log, and closes them at the end."""
    outputs = []

    def make(pipe: Pipe) -> LogOutput:
        outputs.append(LogOutput(pipe.stream, FORMATS["text"]))
        return outputs[-1]

    yield make
    for output in outputs:
        output.writer.close(0)


@pytest.fixture
def output(pipe, make_output):
    return make_output(pipe)


def own_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("log-")}


def within_the_deadline(act) -> None:
    """Do something that might block in a thread, and fail when it does."""
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive(), "it blocks"


def get_stuck(pipe: Pipe, output: LogOutput) -> None:
    """Have the output's thread wait for the reader, with nothing else queued."""
    output.put(0, str, TOO_LONG)
    pipe.wait()


def test_line_is_written(pipe, output):
    output.put(0, str, "10.0.0.1:1 sent: Hello")
    assert pipe.lines(1) == ["10.0.0.1:1 sent: Hello"]


def test_each_line_is_written_soon_and_not_only_at_the_end(pipe, output):
    for i in range(20):
        output.put(0, str, i)
        assert pipe.lines(1) == [str(i)]


def test_lines_keep_their_order(pipe, output):
    for i in range(5000):
        output.put(0, str, i)
    assert pipe.lines(5000) == [str(i) for i in range(5000)]


def test_empty_line_is_a_line(pipe, output):
    for line in ("", "x", ""):
        output.put(0, str, line)
    assert pipe.lines(3) == ["", "x", ""]


def test_many_threads_may_write(pipe, output):
    def write(name: str) -> None:
        for i in range(500):
            output.put(0, str, f"{name} {i}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdefgh"]
    for thread in threads:
        thread.start()
    lines = [line.split() for line in pipe.lines(4000)]
    for thread in threads:
        thread.join()
    assert Counter(name for name, _ in lines) == dict.fromkeys("abcdefgh", 500)
    for writer in "abcdefgh":
        assert [int(i) for name, i in lines if name == writer] == list(range(500))


def test_line_is_made_by_the_thread_and_not_by_who_logs(pipe, output):
    output.put(0, lambda: str(threading.get_ident()))
    (ident,) = pipe.lines(1)
    assert int(ident) in {thread.ident for thread in own_threads()}
    assert int(ident) != threading.get_ident()


def test_whatever_is_put_cannot_forge_a_line(pipe, output):
    output.put(0, lambda name, text: f"{name}: {text}", "\x1b]0;evil\x07", "a\nb\r\u2028c")
    output.put(0, str, "next")
    assert pipe.lines(2) == [r"\x1b]0;evil\x07: a\nb\r\u2028c", "next"]


def test_stuck_output_stops_nobody_and_what_it_misses_is_counted(pipe, output):
    get_stuck(pipe, output)

    def put_too_many() -> None:
        for i in range(QUEUE_ENTRIES + 7):
            output.put(0, str, i)

    within_the_deadline(put_too_many)
    assert pipe.lines(1) == [TOO_LONG]
    assert pipe.lines(QUEUE_ENTRIES) == [str(i) for i in range(QUEUE_ENTRIES)]
    assert pipe.lines(1) == ["(7 log lines dropped: the output was too slow)"]
    # It flows again, and nothing is counted twice.
    output.put(0, str, "again")
    assert pipe.lines(1) == ["again"]
    output.writer.close(DEADLINE)
    assert pipe.rest() == b""


def test_each_time_is_counted_by_itself(pipe, output):
    for dropped in (1, 2):
        get_stuck(pipe, output)
        for _ in range(QUEUE_ENTRIES + dropped):
            output.put(0, str, "")
        lines = pipe.lines(1 + QUEUE_ENTRIES + 1)
        assert lines[-1].startswith(f"({dropped} log lines dropped")
        assert not any(lines[1:-1])


def test_full_queue_without_a_drop_reports_none(pipe, output):
    get_stuck(pipe, output)
    for _ in range(QUEUE_ENTRIES):
        output.put(0, str, "kept")
    assert set(pipe.lines(1 + QUEUE_ENTRIES)[1:]) == {"kept"}
    output.writer.close(DEADLINE)
    assert pipe.rest() == b""


def test_close_writes_what_is_queued_and_ends_the_thread(pipe, make_output):
    before = own_threads()
    output = make_output(pipe)
    (thread,) = own_threads() - before
    for i in range(1000):
        output.put(0, str, i)
    output.writer.close(DEADLINE)
    assert not thread.is_alive()
    assert pipe.rest().decode().split() == [str(i) for i in range(1000)]


def test_close_of_an_idle_queue_ends_the_thread(pipe, make_output):
    before = own_threads()
    make_output(pipe).writer.close(DEADLINE)
    assert own_threads() == before
    assert pipe.rest() == b""


def test_close_may_be_repeated_and_late_lines_do_no_harm(pipe, output):
    output.put(0, str, "in time")
    output.writer.close(DEADLINE)
    output.put(0, str, "late")
    output.writer.close(DEADLINE)
    assert pipe.rest() == b"in time\n"


def test_close_of_a_stuck_output_gives_up_after_its_timeout(pipe, make_output):
    before = own_threads()
    output = make_output(pipe)
    (thread,) = own_threads() - before
    get_stuck(pipe, output)
    output.put(0, str, "last words")
    within_the_deadline(lambda: output.writer.close(0.01))
    assert thread.is_alive()
    # Should it flow again after all, nothing is lost and the thread ends.
    assert pipe.lines(2) == [TOO_LONG, "last words"]
    thread.join(DEADLINE)
    assert not thread.is_alive()


def test_thread_of_a_stuck_output_does_not_keep_the_process_alive(pipe, output):
    get_stuck(pipe, output)
    assert {thread.daemon for thread in own_threads()} == {True}


def test_output_without_a_reader_does_no_harm(pipe, make_output):
    before = own_threads()
    output = make_output(pipe)
    (thread,) = own_threads() - before
    pipe.stop_reading()
    for i in range(100):
        output.put(0, str, i)
    output.writer.close(DEADLINE)
    assert not thread.is_alive()


def test_reader_that_leaves_in_the_middle_of_a_line_does_no_harm(pipe, make_output):
    before = own_threads()
    output = make_output(pipe)
    (thread,) = own_threads() - before
    get_stuck(pipe, output)
    pipe.stop_reading()
    made = threading.Event()
    output.put(0, lambda: made.set() or "after")
    assert made.wait(DEADLINE), "the thread has ended"
    output.writer.close(DEADLINE)
    assert not thread.is_alive()


def test_full_disk_does_no_harm():
    before = own_threads()
    with Path("/dev/full").open("w", encoding="utf-8") as stream:
        output = LogOutput(stream, FORMATS["text"])
        (thread,) = own_threads() - before
        made = [threading.Event() for _ in range(3)]
        for event in made:
            output.put(0, lambda event=event: event.set() or "lost")
            assert event.wait(DEADLINE), "the thread has ended"
        output.writer.close(DEADLINE)
        assert not thread.is_alive()


def test_output_that_does_not_block_loses_nothing(pipe, output):
    os.set_blocking(pipe.stream.fileno(), False)
    get_stuck(pipe, output)
    for i in range(1000):
        output.put(0, str, i)
    assert pipe.lines(1001) == [TOO_LONG, *(str(i) for i in range(1000))]


def test_output_with_a_high_descriptor_is_waited_for_too(make_pipe, make_output):
    """select() takes no descriptor of 1,024 and more."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    pipe = make_pipe()
    high = fcntl.fcntl(pipe.stream.fileno(), fcntl.F_DUPFD_CLOEXEC, 1500)
    pipe.stream.close()
    pipe.stream = open(high, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    os.set_blocking(high, False)
    output = make_output(pipe)
    get_stuck(pipe, output)
    output.put(0, str, "next")
    assert pipe.lines(2) == [TOO_LONG, "next"]


def test_long_line_is_written_whole(pipe, output):
    line = "".join(f"{i} €😀 " for i in range(100_000))
    output.put(0, str, line)
    output.put(0, str, "next")
    assert pipe.lines(2) == [line, "next"]


@pytest.mark.parametrize("unsafe", ["\n", "\r", "\t", "\x1b", "\x7f", "\x85", "\u202e", "\ud800"])
def test_one_line_that_needs_it_is_escaped_among_many_that_do_not(pipe, output, unsafe):
    plain = [f"line {number} ~" for number in range(50)]
    for line in [*plain, f"a{unsafe}b", *plain]:
        output.put(0, str, line)
    assert pipe.lines(101) == [*plain, f"a{ascii(unsafe)[1:-1]}b", *plain]


def test_output_in_ascii_shows_other_characters_escaped(make_pipe, make_output):
    pipe = make_pipe("ascii")
    output = make_output(pipe)
    output.put(0, str, "né €😀")
    assert pipe.lines(1) == [r"n\xe9 \u20ac\U0001f600"]


def test_output_has_the_encoding_of_its_stream(make_pipe, make_output):
    pipe = make_pipe("latin-1")
    output = make_output(pipe)
    output.put(0, str, "né €")
    output.writer.close(DEADLINE)
    assert pipe.rest() == b"n\xe9 \\u20ac\n"


def test_two_queues_keep_apart(make_pipe, make_output):
    stuck, free = make_pipe(), make_pipe()
    stuck_output, free_output = make_output(stuck), make_output(free)
    get_stuck(stuck, stuck_output)
    free_output.put(0, str, "undisturbed")
    assert free.lines(1) == ["undisturbed"]


def test_message_of_a_peer_is_written_as_its_line(pipe, output):
    MessageLog(output).write("10.0.0.1:1", Opcode.TEXT, "naïve €😀".encode())
    assert pipe.lines(1) == ["10.0.0.1:1 sent: naïve €😀"]


class Kept:
    """In the place of an output and its writer: keeps what is put."""

    form = FORMATS["text"]

    def __init__(self) -> None:
        self.writer = self
        self.entries: list[tuple[object, tuple[object, ...]]] = []
        self.size = 0

    def put(self, entry: tuple[object, tuple[object, ...]], size: int) -> None:
        self.entries.append(entry)
        self.size += size


@pytest.mark.parametrize(
    ("kind", "kept"), [(Opcode.TEXT, MESSAGE_BYTES), (Opcode.BINARY, HEX_BYTES)]
)
def test_log_keeps_no_more_of_a_message_than_it_shows(kind, kept):
    output = Kept()
    MessageLog(output).write("10.0.0.1:1", kind, b"x" * 1_000_000)
    ((_, values),) = output.entries
    assert [len(value) for value in values if isinstance(value, bytes)] == [kept]
    assert output.size == kept


def test_log_without_an_output_writes_nothing(capfd):
    MessageLog(None).write("10.0.0.1:1", Opcode.TEXT, b"secret")
    assert capfd.readouterr() == ("", "")


def traceback_of(error: BaseException) -> str:
    try:
        raise error
    except type(error):
        return traceback.format_exc()


def test_fault_is_logged_line_by_line(pipe, output):
    text = traceback_of(ValueError("broken"))
    FaultLog(output).write(text)
    expected = [f"! {line}" for line in text.splitlines()]
    assert pipe.lines(len(expected)) == expected


def test_fault_that_happens_again_is_counted_whatever_it_says(pipe, output):
    faults = FaultLog(output)
    length = len(traceback_of(ValueError()).splitlines())
    for number in range(4):
        faults.write(traceback_of(ValueError(f"broken {number}")))
    faults.summarise(all_of_them=True)
    assert pipe.lines(length + 1)[length:] == ["! the same fault happened 3 more times: ValueError"]
    faults.write(traceback_of(ValueError("broken again")))
    assert pipe.lines(length)[-1] == "! ValueError: broken again"


def test_fault_is_logged_anew_when_its_period_is_over(pipe, output):
    faults = FaultLog(output, period=0.0)
    length = len(traceback_of(ValueError()).splitlines())
    for number in range(2):
        faults.write(traceback_of(ValueError(f"broken {number}")))
    assert pipe.lines(2 * length)[-1] == "! ValueError: broken 1"


def test_faults_of_more_kinds_than_a_log_has_use_for_are_counted(pipe, output):
    faults = FaultLog(output)
    for number in range(DISTINCT_FAULTS + 5):
        faults.write(f"fault {number}")
    faults.summarise()
    assert pipe.lines(DISTINCT_FAULTS + 1) == [
        *(f"! fault {number}" for number in range(DISTINCT_FAULTS)),
        "! 5 more faults happened",
    ]


def test_long_traceback_is_shortened_in_its_middle_and_its_lines_at_their_ends(pipe, output):
    lines = [f"line {number}" for number in range(500)]
    FaultLog(output).write("\n".join([*lines, "x" * 100_000]))
    *shown, last = pipe.lines(101)
    assert shown == [
        *(f"! {line}" for line in lines[:20]),
        "!   ... 401 lines left out",
        *(f"! {line}" for line in lines[-79:]),
    ]
    assert last.startswith("! xxx")
    assert len(last) < 1200
