"""Section 8.1: text is UTF-8, and what is not is found at its first bad byte."""

from itertools import product

import pytest

from echo.protocol.errors import InvalidPayload
from echo.protocol.messages import MessageParser
from echo.protocol.rfc6455 import Opcode
from tests.protocol.streams import Outcome, feed, new_parser, outcome, outcomes, sample
from tests.wire import frame

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode

#: Sequences, each with the place of the first byte that cannot be there.
BAD = [
    pytest.param(bytes.fromhex(sequence), first_bad, id=sequence)
    for sequence, first_bad in [
        ("80", 0),  # continuation bytes with nothing to continue
        ("bf", 0),
        ("c080", 0),  # overlong: U+0000, U+002F, U+007F in two bytes
        ("c0af", 0),
        ("c1bf", 0),
        ("e08080", 1),  # overlong in three: U+0000, U+002F, U+07FF
        ("e080af", 1),
        ("e09fbf", 1),
        ("f0808080", 1),  # overlong in four: U+0000, U+FFFF
        ("f08fbfbf", 1),
        ("eda080", 1),  # surrogates: U+D800, U+DFFF, a pair
        ("edbfbf", 1),
        ("eda0bdedb880", 1),
        ("f4908080", 1),  # above U+10FFFF: U+110000 and on
        ("f4bfbfbf", 1),
        ("f5808080", 0),
        ("f7bfbfbf", 0),
        ("f888808080", 0),  # five and six bytes
        ("fc8480808080", 0),
        ("fe", 0),
        ("ff", 0),
        ("c241", 1),  # a sequence that breaks off
        ("c2c2", 1),
        ("df7f", 1),
        ("e241", 1),
        ("e28241", 2),
        ("e282e2", 2),
        ("efbfc0", 2),
        ("f041", 1),
        ("f09f41", 2),
        ("f09f9841", 3),
        ("f09f98c3", 3),
        ("f48fbf7f", 3),
    ]
]

#: The borders of what there is, in one to four bytes each; none of it may be refused.
GOOD = [
    pytest.param(text.encode(), id=ascii(text))
    for text in [
        "\x00",
        "\x7f",
        "\x80",
        "\u07ff",
        "\u0800",
        "\ud7ff",
        "\ue000",
        "\ufdd0",
        "\ufeff",
        "\ufffd",
        "\ufffe",
        "\uffff",
        "\U00010000",
        "\U0001fffe",
        "\U000fffff",
        "\U0010ffff",
        "κόσμε",
        "a\u0308€😀.",
        "\ufeffé",
    ]
]

INCOMPLETE = [bytes.fromhex(part) for part in ("c2", "df", "e0a0", "e2", "e282", "f0", "f09f98")]

#: Text before the bad sequence: none, ASCII, and more than a short frame holds.
PREFIXES = [b"", b"ok ", "é€😀".encode(), sample(TEXT, 126)]


def arrive(stream: bytes, count: int) -> tuple[MessageParser, list]:
    """A parser that has got all but the last ``count`` bytes of a stream."""
    parser = new_parser()
    return parser, feed(parser, [stream[: len(stream) - count]])


@pytest.mark.parametrize("text", GOOD)
def test_good_text_passes_in_one_frame(text):
    for prefix in PREFIXES:
        payload = prefix + text
        assert outcomes(frame(TEXT, payload)) == [Outcome([(TEXT, payload)], None, idle=True)]


@pytest.mark.parametrize("text", GOOD)
def test_good_text_passes_in_two_fragments_cut_at_every_byte(text):
    for cut in range(len(text) + 1):
        stream = frame(TEXT, text[:cut], fin=False) + frame(CONTINUATION, text[cut:])
        assert outcomes(stream) == [Outcome([(TEXT, text)], None, idle=True)]


@pytest.mark.parametrize("text", GOOD)
def test_good_text_passes_in_a_fragment_for_each_byte_with_pings_between(text):
    stream = frame(TEXT, b"", fin=False)
    for i in range(len(text)):
        stream += frame(PING, b"\xff") + frame(CONTINUATION, text[i : i + 1], fin=False)
    stream += frame(CONTINUATION)
    events = [(PING, b"\xff")] * len(text) + [(TEXT, text)]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


@pytest.mark.parametrize(("bad", "_"), BAD)
def test_bad_text_in_one_frame_fails(bad, _):
    for prefix in PREFIXES:
        for suffix in (b"", b"more", sample(TEXT, 127)):
            (result,) = outcomes(frame(PING) + frame(TEXT, prefix + bad + suffix))
            assert result.events == [(PING, b"")]
            assert result.failure[0] is InvalidPayload


@pytest.mark.parametrize(("bad", "first_bad"), BAD)
def test_first_bad_byte_of_a_frame_that_is_still_arriving_fails(bad, first_bad):
    for prefix, rest, fin in product(PREFIXES, (1, 70_000), (True, False)):
        stream = frame(TEXT, prefix + bad + b"." * rest, fin=fin)
        left = rest + len(bad) - first_bad - 1
        before, events = arrive(stream, left + 1)
        assert before.failure is None
        # The bad byte by itself, and in one piece with all before it.
        events += feed(before, [stream[len(stream) - left - 1 : len(stream) - left]])
        at_once, _ = arrive(stream, left)
        assert [type(before.failure), type(at_once.failure)] == [InvalidPayload] * 2
        assert before.failure.reason == at_once.failure.reason
        assert events == []


@pytest.mark.parametrize(("bad", "first_bad"), BAD)
def test_first_bad_byte_in_a_fragment_that_is_whole_fails(bad, first_bad):
    for cut in range(first_bad + 1):
        stream = (
            frame(TEXT, b"ok" + bad[:cut], fin=False)
            + frame(PING, b"still fine")
            + frame(CONTINUATION, b"", fin=False)
            + frame(CONTINUATION, bad[cut : first_bad + 1], fin=False)
        )
        before, events = arrive(stream, 1)
        assert before.failure is None
        assert events == [(PING, b"still fine")]
        (result,) = outcomes(stream)
        assert result.events == [(PING, b"still fine")]
        assert result.failure[0] is InvalidPayload


@pytest.mark.parametrize(("bad", "first_bad"), BAD)
def test_first_bad_byte_in_a_continuation_that_is_still_arriving_fails(bad, first_bad):
    for cut in range(first_bad + 1):
        start = frame(TEXT, bad[:cut], fin=False)
        stream = start + frame(CONTINUATION, bad[cut:] + b"." * 1000)
        left = 1000 + len(bad) - first_bad - 1
        before, _ = arrive(stream, left + 1)
        assert before.failure is None
        at_once, _ = arrive(stream, left)
        assert type(at_once.failure) is InvalidPayload


@pytest.mark.parametrize("part", INCOMPLETE, ids=bytes.hex)
def test_text_that_ends_inside_a_character_fails_at_its_end(part):
    for prefix in PREFIXES:
        text = prefix + part
        for stream in (
            frame(TEXT, text),
            frame(TEXT, text, fin=False) + frame(CONTINUATION),
            frame(TEXT, prefix, fin=False) + frame(CONTINUATION, part),
            frame(TEXT, text[:-1], fin=False) + frame(CONTINUATION, text[-1:]),
        ):
            (result,) = outcomes(stream)
            assert result.events == []
            assert result.failure[0] is InvalidPayload


@pytest.mark.parametrize("part", INCOMPLETE, ids=bytes.hex)
def test_text_that_stops_inside_a_character_for_now_is_no_failure(part):
    stream = frame(TEXT, part, fin=False) + frame(PING, b"?")
    assert outcomes(stream) == [Outcome([(PING, b"?")], None, idle=False)]


@pytest.mark.parametrize(("bad", "_"), BAD)
def test_binary_may_be_anything(bad, _):
    stream = (
        frame(BINARY, bad)
        + frame(BINARY, bad * 70)
        + frame(BINARY, bad, fin=False)
        + frame(PING, bad)
        + frame(PONG, bad)
        + frame(CONTINUATION, bad)
    )
    events = [(BINARY, bad), (BINARY, bad * 70), (PING, bad), (PONG, bad), (BINARY, bad * 2)]
    assert outcomes(stream) == [Outcome(events, None, idle=True)]


def test_every_text_is_checked_by_itself():
    text = "é".encode()
    halves = frame(TEXT, text[:1], fin=False) + frame(CONTINUATION, text[1:])
    good = halves + frame(TEXT, text) + halves
    assert outcomes(good) == [Outcome([(TEXT, text)] * 3, None, idle=True)]
    # Nothing is left over that the second half of a character could continue.
    for stream in (good + frame(TEXT, text[1:]), good + frame(TEXT, text[1:], fin=False)):
        (result,) = outcomes(stream)
        assert result.events == [(TEXT, text)] * 3
        assert result.failure[0] is InvalidPayload


def test_binary_in_fragments_after_text_in_fragments_is_not_checked():
    stream = (
        frame(TEXT, b"a", fin=False)
        + frame(CONTINUATION, b"b")
        + frame(BINARY, b"\xff", fin=False)
        + frame(CONTINUATION, b"\xff")
    )
    assert outcomes(stream) == [Outcome([(TEXT, b"ab"), (BINARY, b"\xff\xff")], None, idle=True)]


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ([b"\xff"], 0),
        ([b"abc\xff"], 3),
        ([b"abc", b"\xff"], 3),
        ([b"ab", "é".encode(), b"\xff"], 4),
        ([b"ab\xe2", b"\x82", b"\xff"], 2),  # where the character began that broke off
        ([b"\xf0", b"\x9f", b"\x98", b"A"], 0),
        ([b"a\xf0", b"\x9f\x98\x80b", b"\xff"], 6),
        ([sample(TEXT, 200), b"\xff"], 200),
    ],
)
def test_reason_says_where_the_text_went_wrong(parts, place):
    last = len(parts) - 1
    stream = b"".join(
        frame(CONTINUATION if i else TEXT, part, fin=i == last) for i, part in enumerate(parts)
    )
    (result,) = outcomes(stream)
    assert f"at byte {place}:" in result.failure[1]
    assert outcome([frame(TEXT, b"".join(parts))]) == result
