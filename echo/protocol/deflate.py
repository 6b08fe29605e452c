"""RFC 7692, section 7: permessage-deflate, its negotiation and the two directions of its use.

What is sent is compressed with ISA-L, which takes a fifth of zlib's time for the same size: 64 KiB
of text at level 1 take 106 us and become 25,010 bytes, with zlib 583 us and 25,485, with zlib-ng
152 us and 31,992 (level 2: 306 us and 23,925). What arrives is inflated with zlib, in small steps,
so that neither time nor memory depends on what a peer claims to have compressed.
"""

import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

from isal import isal_zlib

from echo.protocol.errors import InvalidPayload
from echo.protocol.extensions import ExtensionOffer, Parameter

#: Section 7: the extension's name.
NAME: Final = "permessage-deflate"

#: Section 7.1.2: the base-2 logarithm of the LZ77 window's size.
MAX_WINDOW_BITS: Final = 15

#: Section 7.1: the parameters and the values that they may have. ISA-L and zlib cannot write with a
#: window of 8 bits, and a server may decline to.
_FLAGS: Final = ("server_no_context_takeover", "client_no_context_takeover")
_VALUES: Final[Mapping[str, Container[str | None]]] = {
    **dict.fromkeys(_FLAGS, (None,)),
    "server_max_window_bits": [str(bits) for bits in range(9, 16)],
    "client_max_window_bits": [None, *(str(bits) for bits in range(8, 16))],
}

#: The window of a client that keeps it from message to message: to inflate with it takes 12 KiB of
#: memory, and with the largest 40.
_KEPT_WINDOW_BITS: Final = 12

#: Section 7.2.1: what ends every message, and is left out.
_TAIL: Final = b"\x00\x00\xff\xff"

#: Section 7.2.3.6: an empty message, compressed.
_EMPTY: Final = b"\x00"

#: What is wrong with a message that does not end where a block does, by its last four bytes.
_END_FAULTS: Final = {
    b"": "compressed message has no bytes: send an empty one as the byte 00, RFC 7692, 7.2.3.6",
    _TAIL: "compressed message ends with 00 00 ff ff: remove these octets, RFC 7692, 7.2.1",
}
_HALF_A_BLOCK: Final = "not DEFLATE: it ends in the middle of a block"

#: Formats that DEFLATE comes in elsewhere (RFC 1950 and 1952), by their first byte.
_WRAPPERS: Final = {
    b"\x78": "zlib's format instead of DEFLATE: leave out its header, 78, and its checksum",
    b"\x1f": "gzip's format instead of DEFLATE: leave out its header, 1f, and its trailer",
}

#: What zlib says of a reference to what it does not have, or no longer.
_TOO_FAR_BACK: Final = "invalid distance too far back"
_NO_TAKEOVER: Final = "client_no_context_takeover is agreed"

#: An empty block that ends the stream: a decompressor takes it only between two blocks.
_LAST_BLOCK: Final = b"\x01\x00\x00\xff\xff"

#: Bytes that are compressed at a time.
DEFLATE_STEP: Final = 64 * 1024

#: Bytes that are inflated at a time. They become at most 1,032 times as many; with twice the bytes
#: the pieces leave such holes in the heap that a bomb takes twice the limit of a message.
INFLATE_STEP: Final = 1024

#: What a new decompressor counts as, in bytes of output: a stream begins, or a context is copied.
_STREAM_COST: Final = 1024

#: What a byte of input counts as: a block may be all tables and give nothing.
_INPUT_COST: Final = 8


@dataclass(frozen=True, slots=True)
class DeflatePolicy:
    """How the server compresses.

    Attributes:
        context_takeover: whether the window is kept from one message to the next: messages that
            resemble each other become smaller, and every connection takes memory for it.
        level: ISA-L's, from 0 (fast) to 3 (small).
        min_size: bytes below which a message is sent as it is.
    """

    context_takeover: bool = False
    level: int = 1
    min_size: int = 256


@dataclass(frozen=True, slots=True)
class DeflateParameters:
    """What both sides have agreed on (section 7.1); a window of None is the largest."""

    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_max_window_bits: int | None = None
    client_max_window_bits: int | None = None

    @classmethod
    def agree(cls, offers: Sequence[ExtensionOffer], policy: DeflatePolicy) -> Self | None:
        """Take the first of a client's offers that can be taken; None when there is none."""
        for offer in offers:
            if offer.name == NAME and (agreed := cls._accept(offer.parameters, policy)):
                return agreed
        return None

    @classmethod
    def _accept(cls, parameters: Sequence[Parameter], policy: DeflatePolicy) -> Self | None:
        """Answer one offer; None when it must be declined: section 7.1, the last paragraphs."""
        offered = {parameter.name: parameter.value for parameter in parameters}
        if len(offered) < len(parameters):
            return None
        if any(p.quoted or p.value not in _VALUES.get(p.name, ()) for p in parameters):
            return None
        server_bits = offered.get("server_max_window_bits")
        client_bits = None
        if "client_max_window_bits" in offered:
            # 7.1.2.2. Only a client that has said so knows how to keep to a smaller window
            hint = int(offered["client_max_window_bits"] or MAX_WINDOW_BITS)
            client_bits = min(hint, _KEPT_WINDOW_BITS if policy.context_takeover else hint)
        forget = not policy.context_takeover
        return cls(
            forget or "server_no_context_takeover" in offered,
            forget or "client_no_context_takeover" in offered,
            # 7.1.2.1. What the client asks for is granted in the answer
            None if server_bits is None else int(server_bits),
            None if client_bits == MAX_WINDOW_BITS else client_bits,
        )

    def __str__(self) -> str:
        """As an element of the response's Sec-WebSocket-Extensions (section 7.1)."""
        text = NAME
        for name in _FLAGS:
            if getattr(self, name):
                text += f"; {name}"
        for name in ("server_max_window_bits", "client_max_window_bits"):
            if bits := getattr(self, name):
                text += f"; {name}={bits}"
        return text


class Deflater:
    """Compresses the messages that are sent (section 7.2.1).

    Without context takeover nothing is kept between messages, and all connections share one
    compressor. With it a connection has its own, from the first message that needs it on.
    """

    __slots__ = ("_compressor", "_level", "_min_size", "_takeover", "_window_bits")

    def __init__(self, parameters: DeflateParameters, policy: DeflatePolicy) -> None:
        self._level = policy.level
        self._min_size = policy.min_size
        self._takeover = not parameters.server_no_context_takeover
        self._window_bits = parameters.server_max_window_bits or MAX_WINDOW_BITS
        self._compressor: isal_zlib.Compress | None = None

    def wants(self, size: int) -> bool:
        """Whether a message of ``size`` bytes is to be compressed."""
        return size >= self._min_size

    def must_send(self, compressed: int, size: int) -> bool:
        """Whether the ``compressed`` bytes of a message are sent and not its own ``size``.

        Where a context is kept, the peer has to see all that went into it.
        """
        return self._takeover or compressed < size

    def deflate(self, message: bytes) -> Iterator[bytes]:
        """Compress a message. A piece of the result, maybe empty, for each step of the work."""
        if not message:
            yield _EMPTY
            return
        if len(message) <= DEFLATE_STEP and not self._takeover:
            # A full flush also forgets what went before: no other connection's bytes come back.
            shared = _shared_compressor(self._level, self._window_bits)
            try:
                whole = shared.compress(message) + shared.flush(isal_zlib.Z_FULL_FLUSH)
            except BaseException:
                # Half way: what it holds must not come out in the message of another connection.
                _shared_compressor.cache_clear()
                raise
            yield whole[: -len(_TAIL)]
            return
        compressor = self._compressor
        if compressor is None:
            compressor = _new_compressor(self._level, self._window_bits)
            if self._takeover:
                self._compressor = compressor
        view = memoryview(message)
        last = (len(message) - 1) // DEFLATE_STEP * DEFLATE_STEP
        for position in range(0, last, DEFLATE_STEP):
            yield compressor.compress(view[position : position + DEFLATE_STEP])
        end = compressor.compress(view[last:]) + compressor.flush(isal_zlib.Z_SYNC_FLUSH)
        yield end[: -len(_TAIL)]


class Inflater:
    """Inflates the messages that arrive (section 7.2.2).

    A decompressor is made when the first byte needs it. Without context takeover it is gone with
    its message: a shared one would hand a peer, who chooses the references, the bytes of others.

    Attributes:
        work: bytes of output so far, and what comes near to it in time; whoever takes turns may
            set it back.
    """

    __slots__ = ("_beginning", "_decompressor", "_end", "_takeover", "_window_bits", "work")

    def __init__(self, parameters: DeflateParameters) -> None:
        self.work = 0
        self._takeover = not parameters.client_no_context_takeover
        self._window_bits = parameters.client_max_window_bits or MAX_WINDOW_BITS
        self._decompressor: zlib._Decompress | None = None
        # The first byte of the message so far and its last four, which name some faults.
        self._beginning = b""
        self._end = b""

    def inflate(self, data: bytes, limit: int) -> bytes:
        """Inflate a piece of a message, of at most INFLATE_STEP bytes.

        ``limit``: bytes of the result that are wanted; one byte more says that there are more, and
        of those none is made. Raises InvalidPayload for what is not DEFLATE (RFC 1951).
        """
        if not self._end:
            self._beginning = data[:1]
        self._end = data[-4:] if len(data) >= 4 else (self._end + data)[-4:]
        return self._inflate(data, limit)

    def _inflate(self, data: bytes, limit: int) -> bytes:
        """As ``inflate``, of bytes that may be the end that is not sent."""
        self.work += _INPUT_COST * len(data)
        output = b""
        while data and len(output) <= limit:
            decompressor = self._decompressor
            if decompressor is None or decompressor.eof:
                # 7.2.3.4. A block with BFINAL set ends a stream; another may follow
                self._decompressor = decompressor = zlib.decompressobj(-self._window_bits)
                self.work += _STREAM_COST
            try:
                piece = decompressor.decompress(data, limit + 1 - len(output))
            except zlib.error as error:
                raise InvalidPayload(self._fault(error)) from None
            output = output + piece if output else piece
            data = decompressor.unused_data
        self.work += len(output)
        return output

    def finish(self) -> None:
        """End a message. Raises InvalidPayload when it does not end where a block does."""
        decompressor = self._decompressor
        if decompressor is None or not decompressor.eof:
            # 7.2.2. Append 4 octets to the tail end of the payload
            try:
                whole = decompressor is not None and not self._inflate(_TAIL, 0) and self._between()
            except InvalidPayload:
                # What is wrong with these octets says nothing of the peer's.
                whole = False
            if not whole:
                half = _WRAPPERS.get(self._beginning, _HALF_A_BLOCK)
                raise InvalidPayload(_END_FAULTS.get(self._end, half))
        self._end = b""
        if not self._takeover or decompressor is None or decompressor.eof:
            self._decompressor = None

    def _fault(self, error: zlib.error) -> str:
        """What is wrong with a message, by what zlib says of it."""
        # zlib's own words, without its preamble.
        said = str(error).rpartition(": ")[2]
        if said != _TOO_FAR_BACK:
            return _WRAPPERS.get(self._beginning, f"not DEFLATE: {said}")
        window = f"the window of {1 << self._window_bits} bytes"
        if self._takeover:
            return f"compressed message refers to what lies beyond {window}"
        # A message shorter than its window has only other messages beyond it.
        beyond = f" or beyond {window}" if self._window_bits < MAX_WINDOW_BITS else ""
        return f"compressed message refers to an earlier one{beyond}; {_NO_TAKEOVER}"

    def _between(self) -> bool:
        """Whether the decompressor is between two blocks: it would take a last one then."""
        probe = self._decompressor
        if probe is None:
            return False
        if self._takeover:
            probe = probe.copy()
            self.work += _STREAM_COST
        try:
            return not probe.decompress(_LAST_BLOCK) and probe.eof
        except zlib.error:
            return False


class PerMessageDeflate:
    """The extension in the use of one connection.

    Attributes:
        deflater, inflater: its two directions.
    """

    __slots__ = ("deflater", "inflater")

    def __init__(self, parameters: DeflateParameters, policy: DeflatePolicy) -> None:
        self.deflater = Deflater(parameters, policy)
        self.inflater = Inflater(parameters)


def _new_compressor(level: int, window_bits: int) -> isal_zlib.Compress:
    return isal_zlib.compressobj(level, isal_zlib.DEFLATED, -window_bits)


#: The compressor of all connections that keep no context; there are seven windows at most.
_shared_compressor: Final = cache(_new_compressor)
