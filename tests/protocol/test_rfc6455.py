"""The numbers, against the RFC's own text and IANA's registry."""

import pytest

from echo.protocol import rfc6455
from echo.protocol.rfc6455 import SENDABLE_CLOSE_CODES, CloseCode, Opcode


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("CONTINUATION", 0x0),
        ("TEXT", 0x1),
        ("BINARY", 0x2),
        ("CLOSE", 0x8),
        ("PING", 0x9),
        ("PONG", 0xA),
    ],
)
def test_opcode_has_the_number_of_section_5_2(name, number):
    assert Opcode[name] == number


def test_no_other_opcode_is_known():
    assert sorted(Opcode) == [0x0, 0x1, 0x2, 0x8, 0x9, 0xA]


def test_control_opcodes_are_those_with_the_control_bit():
    control = {opcode for opcode in Opcode if opcode & rfc6455.CONTROL_BIT}
    assert control == {Opcode.CLOSE, Opcode.PING, Opcode.PONG}


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("NORMAL_CLOSURE", 1000),
        ("GOING_AWAY", 1001),
        ("PROTOCOL_ERROR", 1002),
        ("UNSUPPORTED_DATA", 1003),
        ("NO_STATUS_RECEIVED", 1005),
        ("ABNORMAL_CLOSURE", 1006),
        ("INVALID_PAYLOAD", 1007),
        ("POLICY_VIOLATION", 1008),
        ("MESSAGE_TOO_BIG", 1009),
        ("MANDATORY_EXTENSION", 1010),
        ("INTERNAL_ERROR", 1011),
        ("SERVICE_RESTART", 1012),
        ("TRY_AGAIN_LATER", 1013),
        ("BAD_GATEWAY", 1014),
        ("TLS_HANDSHAKE", 1015),
    ],
)
def test_close_code_has_its_registered_number(name, number):
    assert CloseCode[name] == number


def test_no_other_close_code_is_named():
    assert sorted(CloseCode) == [*range(1000, 1004), *range(1005, 1016)]


def test_close_codes_that_may_not_be_sent():
    refused = [
        *range(1000),
        *range(1004, 1007),
        *range(1015, 3000),
        *range(5000, 65536),
    ]
    assert [code for code in range(65536) if code not in SENDABLE_CLOSE_CODES] == refused


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GUID", "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
        ("VERSION", "13"),
        ("KEY_BYTES", 16),
        ("FIN", 0b1000_0000),
        ("RSV1", 0b0100_0000),
        ("RSV2", 0b0010_0000),
        ("RSV3", 0b0001_0000),
        ("RSV_BITS", 0b0111_0000),
        ("OPCODE_BITS", 0b0000_1111),
        ("CONTROL_BIT", 0b0000_1000),
        ("MASK", 0b1000_0000),
        ("LENGTH_BITS", 0b0111_1111),
        ("LENGTH_16", 126),
        ("LENGTH_64", 127),
        ("MAX_PAYLOAD_LENGTH", 0x7FFF_FFFF_FFFF_FFFF),
        ("MAX_CONTROL_PAYLOAD", 125),
        ("MAX_CLOSE_REASON", 123),
    ],
)
def test_constant_has_the_value_of_the_rfc(name, value):
    assert getattr(rfc6455, name) == value
