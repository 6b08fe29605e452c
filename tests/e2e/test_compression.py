"""permessage-deflate (RFC 7692) as a strict client and a bare socket meet it: the real server."""

import random
import re
import zlib

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from tests.e2e.raw_client import Frame, RawClient, open_websocket, upgrade_request
from tests.e2e.server_process import DEADLINE
from tests.wire import BINARY, CONTINUATION, PING, PONG, RSV1, TEXT, frame

TAIL = b"\x00\x00\xff\xff"
OFFER = "permessage-deflate"

TEXTS = "".join(f'{{"id": {i}, "name": "Müller {i * 7919}"}}\n' for i in range(40_000))
MESSAGES = [
    "",
    b"",
    "short",
    TEXTS[:300],
    TEXTS[:5000],
    TEXTS[:5000],
    bytes(100_000),
    random.Random(1).randbytes(70_000),
    TEXTS,
    TEXTS.encode(),
    random.Random(2).randbytes(300),
]

#: What clients offer; a window of True is one of any size.
OFFERS = [
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 9},
    {"server_max_window_bits": 12, "client_max_window_bits": 10},
    {"client_max_window_bits": 9},
    {"client_max_window_bits": None},
    {"server_max_window_bits": 15, "client_max_window_bits": 15},
]


@pytest.fixture(scope="module")
def servers(module_servers):
    """A server for each value of --compression."""
    return {
        compression: module_servers("--quiet", "--compression", compression)
        for compression in ("off", "no-context", "on")
    }


@pytest.fixture(params=["no-context", "on"])
def compressing_server(servers, request):
    return servers[request.param]


def deflate(message):
    compressor = zlib.compressobj(9, wbits=-15)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


def compressed(opcode, message, **options):
    return frame(opcode, deflate(message), rsv=RSV1, **options)


def open_compressed(client, offer=OFFER):
    """Do the opening handshake; the extension's answer."""
    return client.upgrade(sec_websocket_extensions=offer).header("Sec-WebSocket-Extensions")


def answered(server, offer):
    """What the server answers to an offer; the WebSocket behind it echoes."""
    with RawClient(server) as client:
        answer = open_compressed(client, offer)
        client.send(frame(TEXT, "plain"))
        assert client.read_frame() == Frame(TEXT, b"plain")
    return answer


# ---- A strict client


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: " ".join(offer) or "default")
@pytest.mark.parametrize("compression", ["off", "no-context", "on"])
def test_a_strict_client_gets_its_messages_back(servers, compression, offer):
    factory = ClientPerMessageDeflateFactory(**offer)
    with connect(
        servers[compression].websocket_url,
        compression=None,
        extensions=[factory],
        max_size=None,
        open_timeout=DEADLINE,
        close_timeout=DEADLINE,
        proxy=None,
    ) as client:
        agreed = client.protocol.extensions
        assert len(agreed) == (compression != "off")
        for extension in agreed:
            forgets = compression == "no-context"
            asked = offer.get("server_no_context_takeover", False)
            assert extension.remote_no_context_takeover == (forgets or asked)
            assert extension.remote_max_window_bits == offer.get("server_max_window_bits", 15)
        for message in MESSAGES:
            client.send(message)
            echo = client.recv(timeout=DEADLINE)
            assert type(echo) is type(message)
            assert (echo == message) is True
        client.send([TEXTS[:3000], "", TEXTS[3000:3001], TEXTS[3001:90_000]])
        assert (client.recv(timeout=DEADLINE) == TEXTS[:90_000]) is True


# ---- The handshake


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=x",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown",
        "x-webkit-deflate-frame",
        ["permessage-bzip2", "x-other; a=1"],
    ],
    ids=str,
)
def test_an_offer_that_cannot_be_taken_is_declined(compressing_server, offer):
    assert answered(compressing_server, offer) is None
    with RawClient(compressing_server) as client:
        open_compressed(client, offer)
        client.send(compressed(TEXT, b"Hello"))
        assert client.read_close() == 1002


@pytest.mark.parametrize("fields", [OFFER, ["x-other", OFFER], [f"{OFFER}; unknown", OFFER]])
def test_the_first_offer_that_can_be_taken_is(compressing_server, fields):
    assert answered(compressing_server, fields).startswith(OFFER)


@pytest.mark.parametrize("offer", [OFFER, f"{OFFER}; client_max_window_bits", f"x, {OFFER}"])
def test_off_never_answers_with_the_extension(servers, offer):
    assert answered(servers["off"], offer) is None
    with RawClient(servers["off"]) as client:
        open_compressed(client, offer)
        client.send(compressed(TEXT, b"Hello"))
        assert client.read_close() == 1002


@pytest.mark.parametrize("compression", ["off", "no-context"])
@pytest.mark.parametrize(
    "field",
    [
        "permessage-deflate;",
        "permessage-deflate; =1",
        "permessage-deflate; a=",
        'permessage-deflate; a="1',
        "permessage deflate",
        "permessage-deflate; a=1 b=2",
        "permessage/deflate",
        [OFFER, "; a"],
    ],
    ids=str,
)
def test_a_malformed_header_is_refused_with_a_reason(servers, compression, field):
    server = servers[compression]
    with RawClient(server) as client:
        client.send(upgrade_request(server.port, sec_websocket_extensions=field))
        response = client.read_refusal("GET /ws/echo HTTP/1.1", 400)
    assert "Sec-WebSocket-Extensions" in response.text


# ---- Frames


def test_a_compressed_message_in_the_segment_of_the_upgrade_request(compressing_server):
    behind = compressed(TEXT, b"Hello") + frame(PING, "p")
    with RawClient(compressing_server) as client:
        client.upgrade(behind, sec_websocket_extensions=OFFER)
        assert client.read_frame() == Frame(TEXT, b"Hello")
        assert client.read_frame() == Frame(PONG, b"p")


@pytest.mark.parametrize(("size", "bits"), [(255, 0), (256, RSV1)])
def test_only_messages_from_256_bytes_on_are_compressed(compressing_server, size, bits):
    with RawClient(compressing_server) as client:
        open_compressed(client)
        client.send(frame(BINARY, bytes(size)))
        assert client.read_frame().rsv == bits


@pytest.mark.parametrize("level", ["0", "3"])
def test_level_and_threshold_are_options(start_server, level):
    options = ("--compression-level", level, "--compression-min-size", "10")
    server = start_server("--quiet", *options)
    with RawClient(server) as client:
        open_compressed(client)
        client.send(frame(TEXT, "x" * 9), frame(TEXT, "x" * 1000))
        assert client.read_frame() == Frame(TEXT, b"x" * 9)
        echo = client.read_frame()
        assert echo.rsv == RSV1
        assert zlib.decompress(echo.payload + TAIL + b"\x03\x00", -15) == b"x" * 1000


def test_the_log_shows_the_message_and_counts_what_was_on_the_wire(start_server):
    server = start_server()
    with RawClient(server) as client:
        open_compressed(client)
        wire = compressed(TEXT, b"well " * 100)
        client.send(wire)
        out = len(client.read_frame().payload) + 2
        client.send_end()
        client.read_end()
        server.stdout.wait_for_line(rf"^{re.escape(client.address)} sent: (well ){{100}}")
        figures = rf", received 1 message \({len(wire)} bytes\), sent 1 message \({out} bytes\)$"
        server.stderr.wait_for_line(rf"^{re.escape(client.address)} closed: .*{figures}")


# ---- Violations

ENDS = {
    "corrupt": (frame(TEXT, b"\x07", rsv=RSV1), 1007, "not DEFLATE: invalid block type"),
    "truncated": (
        frame(TEXT, deflate(b"Hello")[:-2], rsv=RSV1),
        1007,
        "not DEFLATE: it ends in the middle of a block",
    ),
    "no payload": (
        frame(TEXT, b"", rsv=RSV1),
        1007,
        "compressed message has no bytes: send an empty one as the byte 00, RFC 7692, 7.2.3.6",
    ),
    "the end not removed": (
        frame(TEXT, deflate(b"Hello") + b"\x00\x00\xff\xff", rsv=RSV1),
        1007,
        "compressed message ends with 00 00 ff ff: remove these octets, RFC 7692, 7.2.1",
    ),
    "no text": (
        compressed(TEXT, b"ok\xff" + b"x" * 50, fin=False),
        1007,
        "text is not UTF-8 at byte 2: invalid start byte",
    ),
    "RSV1 on a continuation": (
        compressed(TEXT, b"x", fin=False) + frame(CONTINUATION, rsv=RSV1),
        1002,
        "unexpected RSV1: only a message's first frame may have RSV1",
    ),
    "RSV1 on a ping": (
        frame(PING, rsv=RSV1),
        1002,
        "unexpected RSV1: only a message's first frame may have RSV1",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_violation_has_its_code_and_its_reason(compressing_server, name):
    stream, code, reason = ENDS[name]
    with RawClient(compressing_server) as client:
        open_compressed(client)
        client.send(compressed(TEXT, b"before"), stream)
        assert client.read_frame() == Frame(TEXT, b"before")
        assert client.read_close() == code
    assert client.log_line() == f"closed: {code} ({reason}), ended by the server"


def test_a_compressed_message_byte_by_byte(compressing_server):
    with RawClient(compressing_server) as client:
        open_compressed(client)
        client.send_each_byte(compressed(TEXT, "für".encode()) + frame(PING, "p"))
        assert client.read_frame() == Frame(TEXT, "für".encode())
        assert client.read_frame() == Frame(PONG, b"p")


def test_who_offers_nothing_gets_nothing(compressing_server):
    with open_websocket(compressing_server) as client:
        client.send(frame(BINARY, bytes(1000)))
        assert client.read_frame() == Frame(BINARY, bytes(1000))
        client.send(compressed(TEXT, b"Hello"))
        assert client.read_close() == 1002
