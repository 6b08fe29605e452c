"""/ws/inspect: what the server says that it saw, against what was really sent."""

import json
import signal
import zlib
from base64 import b64encode
from hashlib import sha1

import pytest
from jsonschema import Draft202012Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.e2e.inspected import PATH, SCHEMA, Inspected, checked
from tests.e2e.raw_client import ACCEPT, KEY, RawClient, upgrade_request
from tests.e2e.server_process import DEADLINE
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASKING_KEY,
    PING,
    PONG,
    RSV1,
    RSV2,
    TEXT,
    close_frame,
    frame,
    frame_header,
    mask,
)

DEFLATE = "permessage-deflate"
HEX_KEY = MASKING_KEY.hex()


@pytest.fixture
def inspected(echo_server):
    with Inspected(echo_server) as client:
        client.begin()
        yield client


def bits(report):
    """A frame's first two bytes, put together from its report."""
    rsv = report["rsv1"] << 6 | report["rsv2"] << 5 | report["rsv3"] << 4
    short = {7: report["payload_length"], 16: 126, 64: 127}[report["length_bits"]]
    return bytes([report["fin"] << 7 | rsv | report["opcode"], report["masked"] << 7 | short])


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_is_served(echo_server):
    with RawClient(echo_server) as client:
        client.send(b"GET /static/inspector.schema.json HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(client.read_response().text) == SCHEMA


def test_the_handshake_as_it_came_and_as_it_was_answered(echo_server):
    with Inspected(echo_server) as client:
        request = upgrade_request(
            echo_server.port,
            path=f"{PATH}?a=1",
            sec_websocket_protocol="a, b",
            sec_websocket_extensions=DEFLATE,
            x_forwarded_for=["1.2.3.4", "5.6.7.8"],
            forwarded="for=1.2.3.4;proto=https",
        ).replace(b"Upgrade: ", b"uPGRADE: ")
        client.send(request)
        response = client.read_response()
        report = client.report()
    line, *fields = request.decode().removesuffix("\r\n\r\n").split("\r\n")
    assert report["request"] == {"line": line, "headers": [f.split(": ", 1) for f in fields]}
    assert report["peer"] == client.address
    assert report["forwarded"] == [
        ["X-Forwarded-For", "1.2.3.4"],
        ["X-Forwarded-For", "5.6.7.8"],
        ["Forwarded", "for=1.2.3.4;proto=https"],
    ]
    assert report["response"]["line"] == "HTTP/1.1 101 Switching Protocols"
    assert [(name.lower(), value) for name, value in report["response"]["headers"]] == list(
        response.headers
    )
    assert report["connection"] == response.header("X-Connection-Id")
    assert report["subprotocols"] == {"offered": ["a", "b"], "chosen": "a"}
    chosen = response.header("Sec-WebSocket-Extensions")
    assert report["extensions"] == {
        "offered": DEFLATE,
        "chosen": chosen,
        "unasked": ["server_no_context_takeover", "client_no_context_takeover"],
    }
    accept = report["accept"]
    digest = sha1(accept["concatenated"].encode()).digest()
    assert accept["key"] == KEY
    assert accept["concatenated"] == KEY + accept["guid"]
    assert (accept["sha1"], accept["value"]) == (digest.hex(), b64encode(digest).decode())
    assert accept["value"] == ACCEPT


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65535, 65536, 65537])
@pytest.mark.parametrize("kind", [TEXT, BINARY])
def test_a_message_in_one_frame(inspected, kind, length):
    payload = (b"0123456789abcdef" * (length // 16 + 1))[:length]
    sent = frame(kind, payload)
    report = inspected.reports(sent)
    (one,) = report["frames"]
    header = bytes.fromhex(one["header"])
    assert sent == header + mask(payload, MASKING_KEY)
    assert bits(one) == header[:2]
    assert (one["masking_key"], one["payload_length"]) == (HEX_KEY, length)
    assert one["payload"] == {
        "masked": mask(payload, MASKING_KEY)[:1024].hex(),
        "unmasked": payload[:1024].hex(),
        "omitted": max(0, length - 1024),
    }
    shown = payload[:1024]
    assert report["preview"] == (shown.decode() if kind == TEXT else shown.hex())
    assert report["preview_omitted"] == length - len(shown)
    assert (report["type"], report["number"], report["bytes"]) == ("message", 1, length)
    assert (report["kind"], report["utf8"]) == (
        ("text", True) if kind == TEXT else ("binary", None)
    )
    assert (report["fragments"], report["compressed_bytes"]) == (1, None)


def test_fragments_with_a_ping_between_them(inspected):
    inspected.send(
        frame(TEXT, "grü".encode()[:-1], fin=False), frame(PING, b"?"), frame(CONTINUATION, b"\xbc")
    )
    ping = inspected.report()
    assert (ping["type"], ping["frame"]["payload"]["unmasked"]) == ("ping", b"?".hex())
    assert inspected.read_frame() == (PONG, b"?", True, 0)
    report = inspected.report()
    assert (report["fragments"], report["preview"]) == (2, "grü")
    assert [(one["fin"], one["name"]) for one in report["frames"]] == [
        (False, "text"),
        (True, "continuation"),
    ]


def test_a_message_in_very_many_frames(inspected):
    inspected.send(frame(BINARY, b"a", fin=False), frame(CONTINUATION, b"b", fin=False) * 5000)
    report = inspected.reports(frame(CONTINUATION, b"c"))
    assert (len(report["frames"]), report["frames_omitted"]) == (100, 4902)
    assert (report["fragments"], report["bytes"]) == (5002, 5002)


def test_a_compressed_message(echo_server):
    message = b"again and " * 300
    compressor = zlib.compressobj(wbits=-15)
    payload = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    with Inspected(echo_server) as client:
        client.begin(sec_websocket_extensions=DEFLATE)
        report = client.reports(frame(TEXT, payload, rsv=RSV1))
    assert (report["bytes"], report["compressed_bytes"]) == (len(message), len(payload))
    assert report["frames"][0]["rsv1"] is True
    assert report["frames"][0]["payload"]["unmasked"] == payload.hex()
    assert report["preview"] == message[:1024].decode()


def test_a_pong_that_nobody_asked_for(inspected):
    report = inspected.reports(frame(PONG, b"!"))
    assert (report["type"], report["frame"]["name"]) == ("pong", "pong")


@pytest.mark.parametrize(
    ("sent", "code", "name", "reason"),
    [
        (close_frame(1000, b"bye"), 1000, "NORMAL_CLOSURE", "bye"),
        (close_frame(4000), 4000, None, ""),
        (close_frame(), 1005, "NO_STATUS_RECEIVED", ""),
    ],
)
def test_the_close_frame_is_reported_before_it_is_answered(inspected, sent, code, name, reason):
    report = inspected.reports(sent)
    assert (report["type"], report["code"]) == ("close", code)
    assert (report["name"], report["reason"]) == (name, reason)
    assert inspected.read_close() == (None if code == 1005 else code)


@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (frame(TEXT, b"x", key=b""), 1002, "mask"),
        (frame(3, b"x"), 1002, "reserved"),
        (frame(TEXT, b"x", rsv=RSV2), 1002, "unexpected RSV2"),
        (frame(CONTINUATION, b"x"), 1002, "without a message to continue"),
        (frame(TEXT, b"\xff"), 1007, "UTF-8"),
        (frame_header(BINARY, 1 << 62), 1009, "16777216"),
        (close_frame(1005), 1002, "1005"),
    ],
)
def test_a_violation_is_reported_with_its_frame_before_the_close(inspected, sent, code, words):
    report = inspected.reports(sent)
    assert (report["type"], report["code"]) == ("failure", code)
    assert words in report["reason"]
    (one,) = report["frames"]
    assert sent.startswith(bytes.fromhex(one["header"]))
    assert bits(one) == sent[:2]
    assert inspected.read_close() == code


def test_frames_in_the_segment_of_the_handshake_and_byte_by_byte(echo_server):
    with Inspected(echo_server) as client:
        client.begin(frame(TEXT, b"first"))
        assert client.report()["preview"] == "first"
        client.send_each_byte(frame(TEXT, b"second"))
        report = client.report()
        assert (report["number"], report["preview"]) == (2, "second")
        assert report["frames"][0]["gap_ms"] >= 0


def test_a_strict_client_gets_a_report_for_each_of_many_messages(echo_server):
    address = f"ws://127.0.0.1:{echo_server.port}{PATH}"
    with connect(address, proxy=None, open_timeout=DEADLINE) as client:
        assert checked(client.recv(DEADLINE))["type"] == "handshake"
        messages = ["", "x", "ü" * 5000, b"", bytes(range(256)) * 500, "<b>&amp;"] * 5
        for message in messages:
            client.send(message)
        for number, message in enumerate(messages, 1):
            report = checked(client.recv(DEADLINE))
            size = len(message.encode() if isinstance(message, str) else message)
            assert (report["number"], report["bytes"]) == (number, size)


def test_a_large_message_and_what_waits_behind_it(inspected):
    inspected.send(frame(BINARY, bytes(1 << 20)), frame(TEXT, b"behind"))
    assert inspected.report()["bytes"] == 1 << 20
    assert inspected.report()["preview"] == "behind"


def test_the_rules_for_origins_hold(echo_server):
    with RawClient(echo_server) as client:
        request = upgrade_request(echo_server.port, path=PATH, origin="http://elsewhere.example")
        client.send(request)
        assert client.read_response().status == 403


def test_going_away_is_said_to_inspected_connections_too(start_server):
    server = start_server()
    with connect(f"ws://127.0.0.1:{server.port}{PATH}", proxy=None) as client:
        checked(client.recv(DEADLINE))
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(DEADLINE)
    assert closed.value.rcvd.code == 1001
    server.stop(number=0)


def test_an_unmasked_close_is_not_taken_for_one(inspected):
    report = inspected.reports(frame(CLOSE, b"\x03\xe8", key=b""))
    assert (report["type"], report["frames"][0]["masked"]) == ("failure", False)
    assert report["frames"][0]["masking_key"] is None
