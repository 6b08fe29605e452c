"""The report of the handshake: which parameters of extensions nobody asked for."""

from datetime import UTC, datetime

import pytest

from echo.inspector.frames import Moment
from echo.inspector.reports import handshake_report
from echo.protocol.http_head import RequestHead

DEFLATE = "permessage-deflate"
BOTH = ["server_no_context_takeover", "client_no_context_takeover"]


@pytest.mark.parametrize(
    ("offered", "chosen", "unasked"),
    [
        ([], "", []),
        ([DEFLATE], "", []),
        ([DEFLATE], DEFLATE, []),
        ([DEFLATE], f"{DEFLATE}; {BOTH[0]}; {BOTH[1]}", BOTH),
        ([f"{DEFLATE}; {BOTH[1]}"], f"{DEFLATE}; {BOTH[0]}; {BOTH[1]}", BOTH[:1]),
        ([DEFLATE, f"{DEFLATE}; {BOTH[0]}"], f"{DEFLATE}; {BOTH[0]}; {BOTH[1]}", BOTH[1:]),
        ([f"x; {BOTH[0]}; {BOTH[1]}, {DEFLATE}"], f"{DEFLATE}; {BOTH[1]}", BOTH[1:]),
        (
            [f"{DEFLATE}; client_max_window_bits"],
            f"{DEFLATE}; client_max_window_bits=12",
            [],
        ),
    ],
)
def test_parameters_that_no_offer_asked_for(offered, chosen, unasked):
    name = "Sec-WebSocket-Extensions"
    head = RequestHead.of("GET", "/", "1.1", [(name, offer) for offer in offered])
    answer = f"HTTP/1.1 101 Switching Protocols\r\n{name}: {chosen}\r\n\r\n"
    moment = Moment(datetime(2026, 1, 1, tzinfo=UTC), 0.0)
    report = handshake_report(moment, "id", "peer", head, answer.encode(), hash_key=None)
    assert report["extensions"]["unasked"] == unasked
