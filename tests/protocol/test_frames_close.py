"""Section 5.5.1 and 7.4: the payload of a close frame."""

from dataclasses import FrozenInstanceError

import pytest

from echo.protocol.errors import InvalidPayload, ProtocolError
from echo.protocol.frames import Close, Frame
from echo.protocol.rfc6455 import Opcode

#: Values and their payloads, for the parser and the serializer both.
PAYLOADS = [
    pytest.param(Close(), b"", id="empty"),
    pytest.param(Close(1005), b"", id="1005-is-empty"),
    pytest.param(Close(1000), b"\x03\xe8", id="code-alone"),
    pytest.param(Close(1000, "bye"), b"\x03\xe8bye", id="reason"),
    pytest.param(
        Close(1001, "è €😀"), b"\x03\xe9\xc3\xa8 \xe2\x82\xac\xf0\x9f\x98\x80", id="utf-8"
    ),
    pytest.param(Close(3000, "\x00"), b"\x0b\xb8\x00", id="nul"),
    pytest.param(Close(4999, "r" * 123), b"\x13\x87" + b"r" * 123, id="longest"),
    pytest.param(Close(4000, "é" * 61 + "."), b"\x0f\xa0" + b"\xc3\xa9" * 61 + b".", id="full"),
]

SENDABLE = [*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)]
REFUSED = sorted(set(range(65536)) - set(SENDABLE))


def parses(payload: bytes) -> bool:
    try:
        Close.parse(payload)
    except ProtocolError:
        return False
    return True


def serializes(code: int) -> bool:
    try:
        Close(code).serialize()
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(("close", "payload"), PAYLOADS)
def test_close_is_parsed(close, payload):
    assert Close.parse(payload) == close


@pytest.mark.parametrize(("close", "payload"), PAYLOADS)
def test_close_is_serialized(close, payload):
    assert close.serialize() == payload


def test_close_without_code_is_1005_without_reason():
    close = Close.parse(b"")
    assert (close.code, close.reason) == (1005, "")


@pytest.mark.parametrize("payload", [b"\x00", b"\x03", b"\xff"])
def test_close_payload_of_one_byte_is_an_error(payload):
    with pytest.raises(ProtocolError, match="1 byte long"):
        Close.parse(payload)


def test_codes_that_may_be_received_are_those_that_may_be_sent():
    assert [code for code in range(65536) if parses(code.to_bytes(2))] == SENDABLE


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535])
def test_code_that_may_not_be_received_is_named(code):
    with pytest.raises(ProtocolError, match=f"close code {code} must not be sent"):
        Close.parse(code.to_bytes(2) + b"whatever")


def test_codes_that_may_not_be_sent_are_refused():
    refused = [code for code in range(65536) if not serializes(code)]
    # 1005 is the value that stands for no code at all.
    assert refused == [code for code in REFUSED if code != 1005]


@pytest.mark.parametrize("code", [-1, 65536, 100_000])
def test_number_that_is_no_close_code_is_refused(code):
    with pytest.raises(ValueError, match=str(code)):
        Close(code).serialize()


@pytest.mark.parametrize(
    "reason",
    [
        b"\x80",
        b"\xff",
        b"\xc0\xaf",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"ok \xe2\x82",
        b"x" * 122 + b"\xc3",
    ],
    ids=bytes.hex,
)
def test_reason_that_is_not_utf8_is_an_error(reason):
    with pytest.raises(InvalidPayload, match="close reason"):
        Close.parse(b"\x03\xe8" + reason)


def test_bad_code_comes_before_bad_reason():
    with pytest.raises(ProtocolError):
        Close.parse(b"\x03\xed\xff")


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        pytest.param("r" * 123, "r" * 123, id="fits"),
        pytest.param("r" * 124, "r" * 123, id="one-too-many"),
        pytest.param("é" * 62, "é" * 61, id="two-bytes-cut"),
        pytest.param("." + "é" * 61, "." + "é" * 61, id="two-bytes-fit"),
        pytest.param("€" * 42, "€" * 41, id="three-bytes-fit"),
        pytest.param("." + "€" * 41, "." + "€" * 40, id="three-bytes-cut-at-2"),
        pytest.param(".." + "€" * 41, ".." + "€" * 40, id="three-bytes-cut-at-1"),
        pytest.param("😀" * 31, "😀" * 30, id="four-bytes-cut-at-3"),
        pytest.param("." + "😀" * 31, "." + "😀" * 30, id="four-bytes-cut-at-2"),
        pytest.param(".." + "😀" * 31, ".." + "😀" * 30, id="four-bytes-cut-at-1"),
        pytest.param("..." + "😀" * 31, "..." + "😀" * 30, id="four-bytes-fit"),
        pytest.param("r" * 100_000, "r" * 123, id="very-long"),
    ],
)
def test_long_reason_is_cut_between_characters(reason, kept):
    payload = Close(1000, reason).serialize()
    assert payload == b"\x03\xe8" + kept.encode()
    assert Close.parse(payload) == Close(1000, kept)


def test_reason_with_half_a_surrogate_pair_can_still_be_sent():
    assert Close(1011, "a\ud800b").serialize() == b"\x03\xf3a?b"


def test_close_fits_a_control_frame():
    wire = Frame(Opcode.CLOSE, Close(1000, "€" * 100).serialize()).serialize()
    assert wire[:2] == b"\x88\x7d"
    assert Frame.parse(wire) is not None


def test_close_is_a_value():
    close = Close(1000, "bye")
    assert close == Close(1000, "bye")
    assert close != Close(1000)
    with pytest.raises(FrozenInstanceError):
        close.code = 1001
