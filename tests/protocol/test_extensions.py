"""RFC 6455, section 9.1: how the header field of the extensions is read."""

import pytest

from echo.protocol.errors import BadRequest
from echo.protocol.extensions import ExtensionOffer, Parameter, parse_extensions

GOOD = {
    "": [],
    " \t": [],
    ", ,": [],
    "x": [ExtensionOffer("x")],
    " x\t": [ExtensionOffer("x")],
    "x, y": [ExtensionOffer("x"), ExtensionOffer("y")],
    "x,x": [ExtensionOffer("x"), ExtensionOffer("x")],
    ", x,,y ,": [ExtensionOffer("x"), ExtensionOffer("y")],
    "x; a": [ExtensionOffer("x", (Parameter("a"),))],
    "x;a;a": [ExtensionOffer("x", (Parameter("a"), Parameter("a")))],
    "x ; a = 1 ; b=2": [ExtensionOffer("x", (Parameter("a", "1"), Parameter("b", "2")))],
    'x; a="1"': [ExtensionOffer("x", (Parameter("a", "1", quoted=True),))],
    r'x; a="1\2"': [ExtensionOffer("x", (Parameter("a", "12", quoted=True),))],
    'x; a="1, y; b"': [ExtensionOffer("x", (Parameter("a", "1, y; b", quoted=True),))],
    'x; a=" "; b, y': [
        ExtensionOffer("x", (Parameter("a", " ", quoted=True), Parameter("b"))),
        ExtensionOffer("y"),
    ],
    r'x; a="\""': [ExtensionOffer("x", (Parameter("a", '"', quoted=True),))],
    'x; a="\xe9"': [ExtensionOffer("x", (Parameter("a", "\xe9", quoted=True),))],
    'x; a=""': [ExtensionOffer("x", (Parameter("a", "", quoted=True),))],
    "permessage-deflate; client_max_window_bits": [
        ExtensionOffer("permessage-deflate", (Parameter("client_max_window_bits"),))
    ],
}

BAD = [
    ";",
    "x;",
    "x; ",
    "x;;a",
    "x; =1",
    "x; a=",
    "x; a=,",
    "x; a=b=c",
    "x y",
    "x; a b",
    "x; a=1 2",
    'x; a="',
    'x; a="1',
    'x; a="1" 2',
    'x; a="\\"',
    'x; a="\x01"',
    '"x"',
    "x/y",
    "x; a=\xe4",
]


@pytest.mark.parametrize("field", GOOD)
def test_a_well_formed_field_is_read(field):
    assert parse_extensions(field) == GOOD[field]


@pytest.mark.parametrize("field", BAD)
def test_a_malformed_field_is_a_bad_request_that_says_where(field):
    with pytest.raises(BadRequest, match=r"^Sec-WebSocket-Extensions: "):
        parse_extensions(field)
