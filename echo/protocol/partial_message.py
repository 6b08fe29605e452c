"""The message that is not whole yet: its bytes so far, checked as they come, and their limit."""

from codecs import getincrementaldecoder
from io import BytesIO
from typing import Final

from echo.protocol.budget import BudgetShare
from echo.protocol.deflate import Inflater
from echo.protocol.errors import InvalidPayload, MessageTooBig
from echo.protocol.rfc6455 import Opcode

#: The first two bytes of all that would be a surrogate lie in this range (RFC 3629, section 3).
_SURROGATES: Final = b"\xed\xa0"
_BEHIND_SURROGATES: Final = b"\xee"

#: Bytes of a message that are moved when it grows.
_CHUNK: Final = 2 * 1024 * 1024

_Utf8Decoder: Final = getincrementaldecoder("utf-8")


class _Utf8Validator:
    """Checks text that comes in pieces, and fails at the first byte that cannot be UTF-8."""

    __slots__ = ("_checked", "_decoder")

    def __init__(self) -> None:
        self._decoder = _Utf8Decoder()
        self._checked = 0

    def check(self, piece: bytes, *, final: bool) -> None:
        """Check the next piece of the text. Raises InvalidPayload."""
        waiting = len(self._decoder.getstate()[0])
        try:
            self._decoder.decode(piece, final)
        except UnicodeDecodeError as error:
            raise _not_utf8(self._checked - waiting + error.start, error.reason) from None
        self._checked += len(piece)
        # The decoder waits for the third byte of what its second shows to be a surrogate.
        if _SURROGATES <= self._decoder.getstate()[0] < _BEHIND_SURROGATES:
            raise _not_utf8(self._checked - 2, "invalid continuation byte")


class PartialMessage:
    """The message that is not whole yet.

    Attributes:
        opcode: its kind, TEXT or BINARY.
        inflater: what inflates it, None when it is not compressed.
        size: bytes so far, inflated.
    """

    __slots__ = (
        "_chunk",
        "_chunks",
        "_max_size",
        "_share",
        "_validator",
        "inflater",
        "opcode",
        "size",
    )

    def __init__(
        self, opcode: Opcode, max_size: int, share: BudgetShare, inflater: Inflater | None
    ) -> None:
        """``max_size``: bytes that the message may have, inflated; ``share``: counts them."""
        self._max_size = max_size
        self._share = share
        self.opcode = opcode
        self.inflater = inflater
        self.size = 0
        # A chunk grows in place. A message that did would be moved each time it grows much, which
        # takes milliseconds when it is large.
        self._chunk = BytesIO()
        self._chunks: list[bytes] = []
        self._validator = _Utf8Validator() if opcode is Opcode.TEXT else None

    def add(self, piece: bytes, *, final: bool) -> None:
        """Take the next piece of the payload, unmasked, the last one when ``final`` is true.

        Raises MessageTooBig, InvalidPayload, TryAgainLater.
        """
        if self.inflater is not None:
            piece = self.inflater.inflate(piece, self._max_size - self.size)
            self.check_size(len(piece))
            if final:
                self.inflater.finish()
        if self._validator is not None:
            self._validator.check(piece, final=final)
        self._share.take(len(piece))
        self.size += self._chunk.write(piece)
        if self._chunk.tell() >= _CHUNK:
            self._chunks.append(self._chunk.getvalue())
            self._chunk = BytesIO()

    def payload(self) -> bytes:
        """All the bytes, once the last piece is there."""
        rest = self._chunk.getvalue()
        # One piece is given as it is, without a copy.
        return b"".join((*self._chunks, rest) if rest else self._chunks)

    def check_size(self, more: int) -> None:
        """Raises MessageTooBig when the message must not have ``more`` bytes."""
        check_size(self.size + more, self._max_size)


def _not_utf8(position: int, reason: str) -> InvalidPayload:
    """The violation that a message's text is, from the byte at ``position`` on."""
    return InvalidPayload(f"text is not UTF-8 at byte {position}: {reason}")


def check_size(size: int, max_size: int) -> None:
    """Raises MessageTooBig when a message of ``size`` bytes is above the limit."""
    if size > max_size:
        raise MessageTooBig(f"message is longer than {max_size} bytes")


def check_utf8(payload: bytes) -> None:
    """Raises InvalidPayload unless ``payload`` is UTF-8 (section 8.1)."""
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(error.start, error.reason) from None
