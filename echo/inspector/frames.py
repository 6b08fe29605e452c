"""What goes over the wire, frame by frame, as it is and not as it should be: for the inspector.

The observer sees the same bytes as the parser beside it, checks nothing and keeps little: the first
frames of a message, and of each the beginning of its payload.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple

from echo.protocol.masking import apply_mask
from echo.protocol.rfc6455 import (
    CONTROL_BIT,
    FIN,
    LENGTH_16,
    LENGTH_64,
    LENGTH_BITS,
    MASK,
    OPCODE_BITS,
    RSV1,
    RSV_BITS,
    Opcode,
)

#: Bytes that are kept of a frame's payload, and of those of a message together.
KEPT_PAYLOAD: Final = 1024
KEPT_MESSAGE: Final = 4096

#: Frames of a message that are kept.
KEPT_FRAMES: Final = 100

#: Messages and control frames that wait to be taken: more than there can be in what an
#: ObservedParser takes at a time.
_MOST_WHOLE: Final = 256

#: Bytes of a masking key, and of the longest header.
_KEY_SIZE: Final = 4
_LONGEST_HEADER: Final = 2 + 8 + _KEY_SIZE

#: What the opcodes are called in reports.
OPCODE_NAMES: Final = {int(opcode): opcode.name.lower() for opcode in Opcode}
#: Section 5.2: the 7-bit lengths that announce one of so many bytes.
_EXTENDED_SIZES: Final = {LENGTH_16: 2, LENGTH_64: 8}


class Moment(NamedTuple):
    """When something arrived: in UTC, and in seconds since the connection began."""

    at: datetime
    elapsed: float


@dataclass(slots=True)
class ObservedFrame:
    """One frame on the wire (section 5.2).

    Attributes:
        header: its bytes, the masking key included.
        moment: when its first byte arrived.
        gap: seconds since the frame before it; None for the first.
        kept: the beginning of its payload, masked as it came.
        arrived: bytes of its payload so far.
    """

    header: bytes
    moment: Moment
    gap: float | None
    kept: bytearray = field(default_factory=bytearray)
    arrived: int = 0

    @property
    def fin(self) -> bool:
        """Whether it ends its message."""
        return self.header[0] & FIN != 0

    @property
    def rsv(self) -> int:
        """The reserved bits, in their place."""
        return self.header[0] & RSV_BITS

    @property
    def opcode(self) -> int:
        """The opcode, a reserved one too."""
        return self.header[0] & OPCODE_BITS

    @property
    def masking_key(self) -> bytes:
        """Four bytes, or none."""
        return self.header[-_KEY_SIZE:] if self.header[1] & MASK else b""

    @property
    def length_bits(self) -> int:
        """In how many bits the length is written: 7, 16 or 64."""
        return 8 * _EXTENDED_SIZES[self._length] if self._length in _EXTENDED_SIZES else 7

    @property
    def payload_length(self) -> int:
        """The payload's bytes, as announced."""
        size = _EXTENDED_SIZES.get(self._length)
        return self._length if size is None else int.from_bytes(self.header[2 : 2 + size])

    @property
    def unmasked(self) -> bytes:
        """The beginning of the payload, unmasked."""
        if not self.masking_key:
            return bytes(self.kept)
        return apply_mask(self.kept, self.masking_key)

    @property
    def _length(self) -> int:
        return self.header[1] & LENGTH_BITS


@dataclass(slots=True)
class ObservedMessage:
    """The frames of one message, or one control frame.

    Attributes:
        frames: the first of them.
        count: of all of them.
        size: bytes of their payloads.
        kept: bytes of these that are kept.
    """

    frames: list[ObservedFrame] = field(default_factory=list)
    count: int = 0
    size: int = 0
    kept: int = 0

    @property
    def compressed(self) -> bool:
        """Whether it says that it is compressed (RFC 7692, section 6)."""
        return bool(self.frames and self.frames[0].rsv & RSV1)

    def add(self, frame: ObservedFrame) -> None:
        """Take in a frame that is whole."""
        self.count += 1
        self.size += frame.arrived
        if len(self.frames) < KEPT_FRAMES:
            self.frames.append(frame)
            self.kept += len(frame.kept)


class FrameObserver:
    """Takes a peer's bytes as they arrive and gathers what they are.

    Attributes:
        whole: the messages and control frames that have arrived whole, the oldest first. As the
            parser gives them in the same order, whoever takes its events takes one of these each.
    """

    def __init__(self) -> None:
        # While the connection is closing nobody takes them, and the oldest are forgotten.
        self.whole: deque[ObservedMessage] = deque(maxlen=_MOST_WHOLE)
        self._message = ObservedMessage()
        self._header = b""
        self._frame: ObservedFrame | None = None
        self._last: Moment | None = None

    def feed(self, data: bytes, moment: Moment) -> None:
        """Take the next bytes, which arrived at that moment."""
        while data:
            if self._frame is None:
                data = self._take_header(data, moment)
            else:
                data = self._take_payload(self._frame, data)
            frame = self._frame
            if frame is not None and frame.arrived == frame.payload_length:
                self._frame = None
                self._take_frame(frame)

    def broken(self) -> ObservedMessage:
        """What a rule was broken with: all that arrived whole or in part and was not taken.

        The first frame that came whole and was not taken is the last of it: a message that is under
        way may be overtaken by a control frame, and which of them is at fault the reason says.
        """
        broken = self._message
        if self.whole:
            for frame in self.whole[0].frames:
                broken.add(frame)
        elif self._frame is not None:
            broken.add(self._frame)
        return broken

    def _take_header(self, data: bytes, moment: Moment) -> bytes:
        """Take bytes of a header; returns the others."""
        begun = len(self._header)
        self._header += data[:_LONGEST_HEADER]
        if len(self._header) < 2:
            return b""
        size = 2 + _EXTENDED_SIZES.get(self._header[1] & LENGTH_BITS, 0)
        size += _KEY_SIZE if self._header[1] & MASK else 0
        if len(self._header) < size:
            return b""
        gap = None if self._last is None else moment.elapsed - self._last.elapsed
        self._frame = ObservedFrame(self._header[:size], moment, gap)
        self._last = moment
        self._header = b""
        return data[size - begun :]

    def _take_payload(self, frame: ObservedFrame, data: bytes) -> bytes:
        """Take bytes of a payload; returns the others."""
        taken = min(len(data), frame.payload_length - frame.arrived)
        room = min(KEPT_PAYLOAD, KEPT_MESSAGE - self._message.kept) - len(frame.kept)
        frame.kept += data[: max(0, min(taken, room))]
        frame.arrived += taken
        return data[taken:]

    def _take_frame(self, frame: ObservedFrame) -> None:
        """Take in a frame that is whole."""
        if frame.opcode & CONTROL_BIT:
            self.whole.append(ObservedMessage([frame], 1, frame.arrived))
            return
        self._message.add(frame)
        if frame.fin:
            self.whole.append(self._message)
            self._message = ObservedMessage()
