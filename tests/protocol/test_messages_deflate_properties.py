"""Properties of compressed messages; the websockets package is the strict client."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate as Strict
from websockets.frames import Frame
from websockets.frames import Opcode as StrictOpcode

from echo.protocol.deflate import DeflateParameters
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import MODEST, Outcome, byte_by_byte, outcome
from tests.wire import RSV1, frame

CONTINUATION, TEXT, BINARY, PING = Opcode.CONTINUATION, Opcode.TEXT, Opcode.BINARY, Opcode.PING


texts = st.text(max_size=60).map(str.encode)
binaries = st.binary(max_size=300) | st.builds(bytes, st.integers(0, 70_000))
messages = st.tuples(st.just(TEXT), texts) | st.tuples(st.just(BINARY), binaries)


def split(draw, data, most=4):
    """The data in up to ``most`` pieces, some of them perhaps empty."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=most - 1)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def encode(client, kind, parts):
    """What the client makes of a message's fragments."""
    last = len(parts) - 1
    frames = (
        Frame(StrictOpcode(CONTINUATION if i else kind), part, fin=i == last)
        for i, part in enumerate(parts)
    )
    return [bytes(client.encode(one).data) for one in frames]


@st.composite
def streams(draw):
    """What a strict client sends that compresses some messages, as a stream, and the events."""
    forgets, bits = draw(st.booleans()), draw(st.integers(9, 15))
    agreed = DeflateParameters(forgets, forgets, None, draw(st.sampled_from([None, bits])))
    client = Strict(
        forgets, forgets, 15, bits, {"level": draw(st.integers(0, 9)), "memLevel": bits - 6}
    )
    wire, events = b"", []
    for kind, message in draw(st.lists(messages, max_size=5)):
        way = draw(st.sampled_from(["plain", "cut when compressed", "compressed when cut"]))
        rsv = 0 if way == "plain" else RSV1
        whole = encode(client, kind, [message])[0] if way == "cut when compressed" else message
        parts = split(draw, whole)
        if way == "compressed when cut":
            parts = encode(client, kind, parts)
        for i, part in enumerate(parts):
            opcode, last = CONTINUATION if i else kind, i == len(parts) - 1
            wire += frame(opcode, part, fin=last, rsv=0 if i else rsv)
            if not last and draw(st.booleans()):
                wire += frame(PING, b"between")
                events.append((PING, b"between"))
        events.append((kind, message))
    return wire, events, agreed


@MODEST
@given(st.data(), streams())
def test_any_messages_come_out_as_a_strict_client_put_them_in(data, stream):
    wire, events, agreed = stream
    expected = Outcome(events, None, idle=True)
    assert outcome([wire], agreed=agreed) == expected
    assert outcome(split(data.draw, wire, 12), agreed=agreed) == expected
    assert outcome(byte_by_byte(wire), agreed=agreed) == expected


@MODEST
@given(st.data(), streams(), st.integers(0, 300))
def test_any_messages_meet_the_limit_at_the_same_place(data, stream, limit):
    wire, events, agreed = stream
    whole = outcome([wire], limit, agreed)
    fits = [kind & 0x8 or len(payload) <= limit for kind, payload in events]
    assert (whole.failure is None) == all(fits)
    assert outcome(split(data.draw, wire, 8), limit, agreed) == whole
