"""What the tests of the protocol share: lengths, payloads, every way to cut a stream."""

import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hypothesis import HealthCheck, settings

from echo.protocol.budget import BudgetShare, ReceiveBudget
from echo.protocol.deflate import DeflateParameters, Inflater
from echo.protocol.errors import ProtocolViolation
from echo.protocol.messages import Event, MessageParser
from echo.protocol.rfc6455 import Opcode
from tests.wire import RSV1, frame

#: Both sides of every border between the three ways to write a length.
LENGTHS = (0, 1, 125, 126, 127, 65535, 65536, 65537)

#: What the extension may be agreed on: without context takeover, and with it.
FORGETFUL = DeflateParameters(server_no_context_takeover=True, client_no_context_takeover=True)
KEEPING = DeflateParameters(server_no_context_takeover=False, client_no_context_takeover=False)

#: A limit that no test meets unless it wants to.
LIMIT = 1 << 20

#: Settings of the property tests.
#: Few examples in the ordinary run; `make fuzz` asks for more.
EXAMPLES = int(os.environ.get("ECHO_TEST_EXAMPLES", "60"))
MODEST = settings(
    deadline=None, max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow]
)

#: Above this many bytes a stream is cut at its ends and here and there, not everywhere.
_CUT_EVERYWHERE = 700

#: Bytes of the pieces in the middle of a long stream.
_MIDDLE = 997

#: What stands in the buffer behind the bytes that arrived: empty messages, if anybody reads them.
_RUBBISH = b"\x82\x80\x00\x00\x00\x00"


class Outcome(NamedTuple):
    """What a stream came to."""

    events: list[Event]
    failure: tuple[type[ProtocolViolation], str] | None
    idle: bool | None  #: unsaid after a failure


def deflate(message: bytes, level: int = 6) -> bytes:
    """A message compressed by zlib, by itself (RFC 7692, section 7.2.1)."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(
    opcode: int, payload: bytes, sizes: Sequence[int] = (), *, between: bytes = b""
) -> bytes:
    """A compressed message on the wire: fragments of these sizes and one with the rest.

    ``between``: what stands behind each fragment but the last.
    """
    pieces, position = [], 0
    for size in sizes:
        pieces.append(payload[position : position + size])
        position += size
    pieces.append(payload[position:])
    return between.join(
        frame(0 if i else opcode, piece, fin=i == len(sizes), rsv=0 if i else RSV1)
        for i, piece in enumerate(pieces)
    )


def sample(kind: Opcode, length: int) -> bytes:
    """A payload of that many bytes that no misplaced byte or turned key leaves as it is."""
    if kind is Opcode.TEXT:
        text = ("naïve €-Zeichen 😀, " * (length // 20 + 1)).encode()
        whole = text[:length].decode("utf-8", "ignore").encode()
        return whole.ljust(length, b".")
    return (bytes(range(251)) * (length // 251 + 1))[:length]


def cuts(size: int) -> Iterable[int]:
    """Where to cut a stream in two: everywhere, unless it is too long for that."""
    if size <= _CUT_EVERYWHERE:
        return range(size + 1)
    return sorted({*range(24), *range(24, size, 7919), *range(size - 24, size + 1)})


def byte_by_byte(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


def every_way(stream: bytes) -> Iterator[list[bytes]]:
    """The stream whole, byte by byte, and in two halves at every cut.

    A long stream comes byte by byte at its ends, where its headers are, and faster between.
    """
    yield [stream]
    if len(stream) <= 2 * _CUT_EVERYWHERE:
        yield byte_by_byte(stream)
    else:
        ends = len(stream) - _CUT_EVERYWHERE
        middle = range(_CUT_EVERYWHERE, ends, _MIDDLE)
        yield [
            *byte_by_byte(stream[:_CUT_EVERYWHERE]),
            *(stream[i : min(i + _MIDDLE, ends)] for i in middle),
            *byte_by_byte(stream[ends:]),
        ]
    for cut in cuts(len(stream)):
        yield [stream[:cut], stream[cut:]]


class Owner:
    """Whose share of a budget a parser's is: fails the parser."""

    parser: MessageParser

    def evict(self, violation: ProtocolViolation) -> None:
        self.parser.fail(violation)


def new_parser(
    limit: int = LIMIT,
    agreed: DeflateParameters | None = None,
    budget: ReceiveBudget | None = None,
) -> MessageParser:
    """A parser, by default with memory for many messages of the largest size.

    ``agreed``: what was negotiated for compressed messages; None for no extension.
    """
    if budget is None:
        budget = ReceiveBudget(100 * limit + 100)
    inflater = None if agreed is None else Inflater(agreed)
    owner = Owner()
    owner.parser = MessageParser(limit, BudgetShare(budget, owner), inflater)
    return owner.parser


def feed(parser: MessageParser, pieces: Iterable[bytes]) -> list[Event]:
    """Feed the pieces as the service does: through one buffer that the next piece overwrites."""
    events: list[Event] = []
    for piece in pieces:
        size = len(piece)
        buffer = bytearray(piece + _RUBBISH)
        events += parser.feed(buffer, size)
        parser.give_back()
        while parser.more:
            events += parser.feed(b"", 0)
            parser.give_back()
        buffer[:] = b"\xff" * len(buffer)
    return events


def outcome(
    pieces: Iterable[bytes], limit: int = LIMIT, agreed: DeflateParameters | None = None
) -> Outcome:
    """What these pieces come to, for a new parser."""
    parser = new_parser(limit, agreed)
    events = feed(parser, pieces)
    if parser.failure is None:
        return Outcome(events, None, parser.idle)
    return Outcome(events, (type(parser.failure), parser.failure.reason), None)


def outcomes(
    stream: bytes, limit: int = LIMIT, agreed: DeflateParameters | None = None
) -> list[Outcome]:
    """The distinct outcomes of every way to cut the stream; there should be one."""
    distinct: list[Outcome] = []
    for pieces in every_way(stream):
        result = outcome(pieces, limit, agreed)
        if result not in distinct:
            distinct.append(result)
    return distinct
