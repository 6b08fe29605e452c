"""RFC 7692, section 7.1: which offers are taken, and what the answer says."""

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from echo.protocol.deflate import DeflateParameters, DeflatePolicy
from echo.protocol.extensions import parse_extensions
from tests.protocol.streams import MODEST

FORGETFUL = DeflatePolicy()
KEEPING = DeflatePolicy(context_takeover=True)

#: The offer behind the extension's name; the answers of a server that keeps no context and of one
#: that does.
NO_CONTEXT = "; server_no_context_takeover; client_no_context_takeover"
TAKEN = {
    "": (NO_CONTEXT, ""),
    "; server_no_context_takeover": (
        NO_CONTEXT,
        "; server_no_context_takeover",
    ),
    "; client_no_context_takeover": (
        NO_CONTEXT,
        "; client_no_context_takeover",
    ),
    "; client_no_context_takeover; server_no_context_takeover": (
        NO_CONTEXT,
        f"{NO_CONTEXT}",
    ),
    "; server_max_window_bits=15": (
        f"{NO_CONTEXT}; server_max_window_bits=15",
        "; server_max_window_bits=15",
    ),
    "; server_max_window_bits=10": (
        f"{NO_CONTEXT}; server_max_window_bits=10",
        "; server_max_window_bits=10",
    ),
    "; client_max_window_bits": (
        NO_CONTEXT,
        "; client_max_window_bits=12",
    ),
    "; client_max_window_bits=15": (
        NO_CONTEXT,
        "; client_max_window_bits=12",
    ),
    "; client_max_window_bits=8": (
        f"{NO_CONTEXT}; client_max_window_bits=8",
        "; client_max_window_bits=8",
    ),
    "; client_max_window_bits=9; server_max_window_bits=11": (
        f"{NO_CONTEXT}; server_max_window_bits=11; client_max_window_bits=9",
        "; server_max_window_bits=11; client_max_window_bits=9",
    ),
}

DECLINED = [
    "; unknown",
    "; unknown=1",
    "; server_no_context_takeover=1",
    "; server_no_context_takeover=true",
    '; client_no_context_takeover=""',
    "; x_no_context_takeover",
    "; server_no_context_takeover; server_no_context_takeover",
    "; client_no_context_takeover; client_no_context_takeover",
    "; server_max_window_bits",
    '; server_max_window_bits=""',
    '; server_max_window_bits="10"',
    "; server_max_window_bits=7",
    "; server_max_window_bits=8",
    "; server_max_window_bits=16",
    "; server_max_window_bits=08",
    "; server_max_window_bits=+9",
    "; server_max_window_bits=9.0",
    "; server_max_window_bits=-9",
    "; server_max_window_bits=x",
    "; server_max_window_bits=10; server_max_window_bits=10",
    '; client_max_window_bits=""',
    '; client_max_window_bits="10"',
    "; client_max_window_bits=7",
    "; client_max_window_bits=16",
    "; client_max_window_bits=010",
    "; client_max_window_bits; client_max_window_bits=10",
    "; Server_No_Context_Takeover",
]


def answer(field, policy=FORGETFUL):
    agreed = DeflateParameters.agree(parse_extensions(field), policy)
    return None if agreed is None else str(agreed)


@pytest.mark.parametrize("offer", TAKEN)
def test_an_offer_is_taken(offer):
    field = f"permessage-deflate{offer}"
    answers = answer(field, FORGETFUL), answer(field, KEEPING)
    assert answers == tuple(f"permessage-deflate{expected}" for expected in TAKEN[offer])


@pytest.mark.parametrize("offer", DECLINED)
@pytest.mark.parametrize("policy", [FORGETFUL, KEEPING])
def test_an_offer_that_cannot_be_taken_is_declined(offer, policy):
    assert answer(f"permessage-deflate{offer}", policy) is None


@pytest.mark.parametrize("offer", DECLINED)
def test_behind_an_offer_that_is_declined_the_next_one_is_taken(offer):
    field = f"permessage-deflate{offer}, permessage-deflate; server_max_window_bits=9"
    assert answer(field) == f"permessage-deflate{NO_CONTEXT}; server_max_window_bits=9"


def test_the_first_offer_that_can_be_taken_is():
    first, second = "; server_max_window_bits=9", "; server_max_window_bits=10"
    assert "=9" in answer(f"x-other, permessage-deflate{first}, permessage-deflate{second}")


@pytest.mark.parametrize("field", ["x-webkit-deflate-frame", "permessage-bzip2; a=1", "Deflate"])
def test_other_extensions_are_declined(field):
    assert answer(field) is None


@MODEST
@given(
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, *range(9, 16)]),
    st.sampled_from([None, True, *range(9, 16)]),
    st.booleans(),
)
def test_a_strict_client_takes_every_answer(server_no, client_no, server_bits, client_bits, keeps):
    factory = ClientPerMessageDeflateFactory(server_no, client_no, server_bits, client_bits)
    offer = "permessage-deflate" + "".join(
        f"; {name}" if value is None else f"; {name}={value}"
        for name, value in factory.get_request_params()
    )
    agreed = DeflateParameters.agree(parse_extensions(offer), DeflatePolicy(context_takeover=keeps))
    ((_, parameters),) = parse_extensions(str(agreed))
    theirs = factory.process_response_params([(p.name, p.value) for p in parameters], [])
    largest = {None: 15}
    assert tuple(largest.get(value, value) for value in astuple(agreed)) == (
        theirs.remote_no_context_takeover,
        theirs.local_no_context_takeover,
        theirs.remote_max_window_bits,
        theirs.local_max_window_bits,
    )
