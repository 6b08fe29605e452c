"""What follows from the numbers of the RFC and of IANA's registry."""

from echo.protocol.rfc6455 import CONTROL_BIT, SENDABLE_CLOSE_CODES, CloseCode, Opcode


def test_control_opcodes_are_those_with_the_control_bit():
    control = {opcode for opcode in Opcode if opcode & CONTROL_BIT}
    assert control == {Opcode.CLOSE, Opcode.PING, Opcode.PONG}


def test_every_registered_close_code_has_a_name():
    assert sorted(CloseCode) == [*range(1000, 1004), *range(1005, 1016)]


def test_close_codes_that_may_not_be_sent():
    refused = [
        *range(1000),
        *range(1004, 1007),
        *range(1015, 3000),
        *range(5000, 65536),
    ]
    assert [code for code in range(65536) if code not in SENDABLE_CLOSE_CODES] == refused
