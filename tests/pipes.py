"""A real pipe in the place of standard output."""

import os
import select

#: Seconds after which something that should happen will not.
DEADLINE = 30


class Pipe:
    """A pipe whose writing end is a text stream, as standard output is one."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.reader, writer = os.pipe()
        self.stream = open(writer, "w", encoding=encoding)  # noqa: PTH123, SIM115
        self.read = b""

    def wait(self) -> None:
        """Until something can be read, without reading it."""
        ready, _, _ = select.select([self.reader], [], [], DEADLINE)
        assert ready, "nothing is written"

    def lines(self, count: int) -> list[str]:
        """The next lines, without their line breaks, as soon as there are so many."""
        while self.read.count(b"\n") < count:
            self.wait()
            data = os.read(self.reader, 1 << 20)
            assert data, "the pipe is closed"
            self.read += data
        *lines, self.read = self.read.split(b"\n", count)
        return [line.decode(self.stream.encoding) for line in lines]

    def rest(self) -> bytes:
        """What is still to be read when the writing end is closed."""
        self.stream.close()
        while data := os.read(self.reader, 1 << 20):
            self.read += data
        return self.read

    def stop_reading(self) -> None:
        if self.reader is not None:
            os.close(self.reader)
            self.reader = None
