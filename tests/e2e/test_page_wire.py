"""The page's view Wire: frames bit by bit, compared with what was really sent."""

import hashlib
import json
import re
import struct
import zlib
from base64 import b64encode

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import (
    EVENT,
    RECEIVED,
    SENT,
    expect_state,
    open_page,
    open_without_application,
    run,
    send,
    tab_to,
    use_instead_of_server,
)
from tests.e2e.raw_client import KEY, RawClient
from tests.wire import (
    BINARY,
    CONTINUATION,
    MASKING_KEY,
    PING,
    RSV2,
    TEXT,
    frame,
    frame_header,
    mask,
)

INSPECTOR = "#view=wire&target=inspect"
FRAME = "#log > [data-kind=frame]"

#: Puts reports of the inspector onto the page as the application itself would.
DRAW = """({ Log }, { Recorder }, { wireView }, { TEXTS }, reports) => {
    const log = new Log(1000);
    const recorder = new Recorder(log, (id) => `/ws/connections/${id}`, () => {});
    const socket = {extensions: "permessage-deflate"};
    const link = {target: "inspect", id: "x".repeat(22), socket, waiting: [], opened: true};
    for (const report of reports) recorder.received(link, report, 0);
    const list = document.createElement("ol");
    list.id = "drawn";
    const drawn = log.entries.filter(wireView.shows);
    list.append(...drawn.map((entry) => wireView.draw(entry, TEXTS.en)));
    document.querySelector("main").append(list);
}"""

DRAWING = "log/log.js connection/recorder.js wire/wire_view.js i18n/texts.js"


def bits_of(data):
    return "".join(f"{byte:08b}" for byte in data)


def drawn_bits(row):
    """The bits of a drawn header, left to right."""
    return "".join(row.locator(".bit").all_text_contents())


def dumped(row, name):
    """The bytes of a dump."""
    return bytes.fromhex("".join(row.locator(f"[data-dump={name}] .octets").all_text_contents()))


def fields_of(row):
    """The bits of each field of a drawn header."""
    cells = row.locator("[data-field]").evaluate_all(
        "cells => cells.map((cell) => [cell.dataset.field, cell.dataset.bits])"
    )
    fields = {}
    for name, bits in cells:
        fields[name] = fields.get(name, "") + bits
    return fields


def reports_on(server, *pieces, count, **headers):
    """What the inspector reports of bytes that a raw client sends: the handshake and more."""
    with RawClient(server) as client:
        client.upgrade(path="/ws/inspect", **headers)
        client.send(*pieces)
        reports = []
        while len(reports) < 1 + count:
            answer = client.read_frame()
            if answer.opcode == TEXT:  # and no pong
                reports.append(answer.payload.decode())
        return reports


def draw(page, server, reports):
    open_without_application(page, server)
    run(page, DRAWING, DRAW, reports)
    return page.locator("#drawn > [data-kind=frame]")


# ---- Frames that the browser sends, reported by the inspector


def test_a_masked_frame_is_drawn_as_the_browser_sent_it(page, start_server):
    open_page(page, start_server("--compression", "off"), INSPECTOR)
    send(page, "Hello")
    row = page.locator(f"{FRAME}[data-source=reported]")
    expect(row).to_have_count(1)
    fields = fields_of(row)
    assert {name: fields[name] for name in ("fin", "rsv1", "rsv2", "rsv3", "opcode", "mask")} == {
        "fin": "1",
        "rsv1": "0",
        "rsv2": "0",
        "rsv3": "0",
        "opcode": "0001",
        "mask": "1",
    }
    assert fields["length"] == "0000101"
    assert "extended" not in fields
    key = int(fields["key"], 2).to_bytes(4)
    assert dumped(row, "unmasked") == b"Hello"
    assert dumped(row, "masked") == mask(b"Hello", key)
    assert drawn_bits(row) == bits_of(frame_header(TEXT, 5, key=key))
    expect(row.locator(".text").nth(1)).to_have_text("Hello")
    expect(row).to_contain_text("reported by the inspector")
    expect(row).to_contain_text("text, 5 bytes in 1 frame, valid UTF-8")


def test_a_message_with_a_64_bit_length_is_drawn(page, start_server):
    open_page(page, start_server("--compression", "off"), INSPECTOR)
    send(page, "x" * 70_000)
    row = page.locator(f"{FRAME}[data-source=reported]")
    expect(row).to_have_count(1)
    fields = fields_of(row)
    assert fields["length"] == f"{127:07b}"
    assert fields["extended"] == f"{70_000:064b}"
    assert len(drawn_bits(row)) == 14 * 8
    expect(row).to_contain_text("70,000 bytes")
    assert len(dumped(row, "unmasked")) == 64
    row.get_by_role("button", name="Show 1,024 bytes").click()
    expect(row.locator("[data-dump=unmasked] .line")).to_have_count(128)
    assert dumped(row, "unmasked") == b"x" * 1024
    expect(row).to_contain_text("68,976 more bytes not reported")


def test_a_compressed_message_is_drawn_with_what_it_inflates_to(page, echo_server):
    open_page(page, echo_server, INSPECTOR)
    text = "again and " * 40
    send(page, text)
    row = page.locator(f"{FRAME}[data-source=reported]")
    expect(row).to_have_count(1)
    fields = fields_of(row)
    assert fields["rsv1"] == "1"
    deflated = dumped(row, "unmasked")
    assert fields["length"] == f"{len(deflated):07b}"
    inflated = zlib.decompressobj(-15).decompress(deflated + b"\x00\x00\xff\xff")
    assert inflated.decode() == text
    expect(row).to_contain_text("still compressed")
    expect(row).to_contain_text(f"text, 400 bytes in 1 frame, compressed to {len(deflated)} bytes")
    assert row.locator(".inflated .body").text_content() == text


# ---- Frames that no browser sends


def test_fragments_and_a_ping_between_them_are_drawn_one_by_one(page, echo_server):
    pieces = [
        frame(TEXT, "Hel", fin=False),
        frame(PING, b"in between"),
        frame(CONTINUATION, "lo, ", fin=False, size=1),
        frame(CONTINUATION, "WebSocket"),
    ]
    rows = draw(page, echo_server, reports_on(echo_server, *pieces, count=2))
    expect(rows).to_have_count(4)
    sent_in_order = [pieces[1], pieces[0], *pieces[2:]]  # the ping is reported when it comes
    for row, sent in zip(rows.all(), sent_in_order, strict=True):
        header = sent[:6]
        assert drawn_bits(row) == bits_of(header)
        assert dumped(row, "masked") == sent[6:]
        assert dumped(row, "unmasked") == mask(sent[6:], MASKING_KEY)
    expect(rows.nth(0)).to_contain_text("Ping frame, 10 bytes")
    expect(rows.nth(1)).to_contain_text("frame 1 of 3, message 1")
    expect(rows.nth(3)).to_contain_text("Continuation frame, 9 bytes")
    expect(rows.nth(3)).to_contain_text("text, 16 bytes in 3 frames, valid UTF-8")
    assert fields_of(rows.nth(1))["fin"] == "0"
    assert fields_of(rows.nth(3))["fin"] == "1"


def test_a_frame_that_breaks_a_rule_is_shown_with_the_rule(page, echo_server):
    too_long = frame(PING, b"x" * 200)
    reports = reports_on(echo_server, too_long, count=1)
    rows = draw(page, echo_server, reports)
    expect(rows).to_have_attribute("data-source", "failed")
    assert drawn_bits(rows) == bits_of(too_long[:8])
    assert fields_of(rows)["extended"] == f"{200:016b}"
    failure = json.loads(reports[-1])
    expect(page.locator("#drawn")).to_contain_text(
        f"fails the connection with {failure['code']} (Protocol Error)"
    )
    expect(page.locator("#drawn")).to_contain_text(failure["reason"])


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (frame(TEXT, "x", rsv=RSV2), "Text frame, 1 byte of payload"),
        (frame(TEXT, "x", key=b""), "As on the wire, not masked"),
        (frame(3, "x"), "Reserved frame, 1 byte of payload"),
        (frame_header(TEXT, (1 << 64) - 1), "Text frame, 18,446,744,073,709,551,615 bytes"),
    ],
)
def test_what_no_client_may_send_is_drawn_all_the_same(page, echo_server, sent, shown):
    reports = reports_on(echo_server, sent, count=1)
    rows = draw(page, echo_server, reports)
    expect(rows).to_have_attribute("data-source", "failed")
    expect(rows).to_contain_text("the frame that broke a rule")
    expect(rows).to_contain_text(shown)
    assert bits_of(sent).startswith(drawn_bits(rows))
    expect(page.locator("#drawn")).to_contain_text(json.loads(reports[-1])["reason"])


def test_a_binary_message_is_dumped_as_hex_and_text(page, echo_server):
    data = bytes(range(0x3A, 0x3A + 20))
    rows = draw(page, echo_server, reports_on(echo_server, frame(BINARY, data), count=1))
    assert dumped(rows, "unmasked") == data
    text = rows.locator("[data-dump=unmasked] .text").all_text_contents()
    assert "".join(text) == data.decode("ascii")


def test_an_empty_frame_has_no_dump(page, echo_server):
    rows = draw(page, echo_server, reports_on(echo_server, frame(TEXT, ""), count=1))
    expect(rows).to_contain_text("No payload")
    expect(rows.locator(".dump")).to_have_count(0)


def test_hostile_bytes_and_header_fields_are_shown_harmlessly(page, echo_server):
    markup = "<script>window.hacked=1</script>\u202e"
    reports = reports_on(
        echo_server, frame(TEXT, markup), count=1, user_agent="<b onclick=x>\xe2\x80\xae"
    )
    rows = draw(page, echo_server, reports)
    expect(rows).to_have_count(1)
    expect(page.locator("#drawn").locator("script, b")).to_have_count(0)
    assert "\u202e" not in page.locator("#drawn").text_content()
    assert page.evaluate("window.hacked") is None


def test_frames_that_are_only_counted_are_counted_on_the_page(page, echo_server):
    brief = {"version": 2, "frames_omitted": 1, "bytes": 0}
    message = {**brief, "type": "message", "kind": "text", "number": 7, "frames_omitted": 2}
    draw(page, echo_server, [json.dumps(one) for one in (message, {**brief, "type": "ping"})])
    rows = page.locator("#drawn > [data-kind=brief]")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Message 7: text, 0 bytes in 2 frames. No details")
    expect(rows.last).to_contain_text("ping, 0 bytes in 1 frame. No details")


def test_a_report_that_is_none_does_not_break_the_page(page, echo_server, complaints):
    reports = [
        "no JSON",
        "null",
        "[1]",
        '{"version": 1, "type": "message"}',
        '{"version": 2, "type": "handshake"}',
        '{"version": 2, "type": "message", "frames": [{"header": 7}]}',
    ]
    use_instead_of_server(
        page,
        lambda *_: None,
        on_open=lambda connection: [connection.send(report) for report in reports],
    )
    open_page(page, echo_server, INSPECTOR)
    # The connection itself, each message, and what the last two claim to report.
    expect(page.locator("#log")).to_have_attribute("data-length", "9")
    page.locator("label", has=page.locator("input[value=messages]")).click()
    expect(page.locator(RECEIVED)).to_have_count(6)
    complaints[:] = [text for text in complaints if "TypeError" not in text]


# ---- The handshake


def test_the_handshake_is_shown_with_the_derivation_of_the_accept_value(page, echo_server):
    open_page(page, echo_server, f"{INSPECTOR}&protocols=chat")
    row = page.locator("[data-kind=handshake]")
    expect(row.locator(".start-line").first).to_have_text(
        re.compile(r"^GET /ws/inspect\?echo-id=.* HTTP/1\.1$")
    )
    expect(row.locator(".start-line").last).to_have_text("HTTP/1.1 101 Switching Protocols")
    response = row.locator(".http-message").last
    accept = response.locator("[data-header=sec-websocket-accept]").text_content().split(": ")[1]
    key = row.locator("[data-header=sec-websocket-key]").text_content().split(": ")[1]
    step = {
        name: row.locator(f"[data-step={name}] code").text_content()
        for name in ("key", "guid", "concatenated", "sha1", "value")
    }
    assert step["key"] == key
    assert step["concatenated"] == key + step["guid"]
    digest = hashlib.sha1(step["concatenated"].encode())
    assert step["sha1"] == digest.hexdigest()
    assert step["value"] == accept == b64encode(digest.digest()).decode()
    expect(row).to_contain_text("the server has read this very request")
    expect(row).to_contain_text("offered chat, chosen chat")


def test_the_handshake_of_another_client_is_shown_as_it_came(page, echo_server):
    reports = reports_on(echo_server, count=0, x_forwarded_for="192.0.2.7")
    draw(page, echo_server, reports)
    row = page.locator("#drawn > [data-kind=handshake]")
    expect(row.locator("[data-header=sec-websocket-key]")).to_have_text(
        f"Sec-WebSocket-Key: {KEY}", ignore_case=True
    )
    expect(row.locator(".forwarded")).to_contain_text("X-Forwarded-For: 192.0.2.7")
    headers = [name.lower() for name, _ in json.loads(reports[0])["request"]["headers"]]
    shown = row.locator(".http-message").first.locator("[data-header]")
    assert shown.evaluate_all("all => all.map((e) => e.dataset.header)") == headers


def test_hidden_credentials_are_pointed_out(page, echo_server):
    reports = reports_on(echo_server, count=0, cookie="a=1", x_forwarded_access_token="1234")
    draw(page, echo_server, reports)
    row = page.locator("#drawn > [data-kind=handshake]")
    hidden = re.compile(r"^Cookie: \(redacted: 3 bytes; hash [0-9a-f]{8}\)$")
    expect(row.locator("[data-header=cookie]")).to_have_text(hidden)
    expect(row.locator(".forwarded")).to_contain_text("X-Forwarded-Access-Token: (redacted: 4")
    note = "The server hides the credentials in Cookie, X-Forwarded-Access-Token"
    expect(row.locator(".redacted")).to_contain_text(note)
    draw(page, echo_server, reports_on(echo_server, count=0))
    expect(page.locator("#drawn > [data-kind=handshake]")).to_have_count(1)
    expect(page.locator("#drawn .redacted")).to_have_count(0)


# ---- On the echo


def test_on_an_echo_connection_the_page_says_what_it_cannot_know_and_offers_the_inspector(
    page, echo_server
):
    open_page(page, echo_server, "#view=wire")
    expect(page.get_by_text("Browsers show no frames to scripts")).to_be_visible()
    send(page, "out of sight")
    expect(page.locator(SENT)).to_contain_text("The browser does not show its frames")
    expect(page.locator(RECEIVED)).to_contain_text("perhaps compressed")
    expect(page.locator(FRAME)).to_have_count(0)
    page.locator("#to-inspector").click()
    expect(page.locator("#address")).to_have_text(re.compile("/ws/inspect$"))
    expect_state(page, "connected")
    expect(page.locator("#echo-notice")).to_be_hidden()
    send(page, "in sight")
    expect(page.locator(f"{FRAME}[data-source=reported]")).to_have_count(1)


def test_without_compression_the_frames_of_the_server_are_reconstructed(page, plain_server):
    open_page(page, plain_server, "#view=wire")
    send(page, "x" * 300)
    row = page.locator(f"{FRAME}[data-source=reconstructed]")
    expect(row).to_contain_text("reconstructed from what arrived")
    assert drawn_bits(row) == bits_of(frame_header(TEXT, 300, key=b""))
    assert dumped(row, "plain") == b"x" * 64


@pytest.fixture(scope="module")
def plain_server(module_servers):
    return module_servers("--compression", "off")


def test_the_close_frame_of_the_server_is_reconstructed(page, plain_server):
    open_page(page, plain_server, "#view=wire")
    page.locator("#disconnect").click()
    closed = page.locator(f"{EVENT}[data-kind=closed]")
    expect(closed).to_contain_text("The browser sends a close frame first")
    assert drawn_bits(closed) == bits_of(b"\x88\x02")
    assert dumped(closed, "plain") == struct.pack("!H", 1000)


def test_the_server_that_closes_first_is_shown_with_its_reason(page, echo_server):
    use_instead_of_server(
        page, lambda connection, _message: connection.close(code=4001, reason="enough")
    )
    open_page(page, echo_server, "#view=wire")
    send(page, "x")
    closed = page.locator(f"{EVENT}[data-kind=closed]")
    expect(closed).to_contain_text("The server sends a close frame first")
    assert drawn_bits(closed) == bits_of(b"\x88\x08")
    assert dumped(closed, "plain") == struct.pack("!H", 4001) + b"enough"


# ---- Notes on the fields


def test_each_field_explains_itself_with_its_section_of_the_rfc(page, echo_server):
    open_page(page, echo_server, INSPECTOR)
    send(page, "x" * 300)
    row = page.locator(f"{FRAME}[data-source=reported]")
    note = page.locator("#field-note")
    for name, section in [
        ("fin", "RFC 6455, section 5.2"),
        ("rsv1", "RFC 7692, section 6"),
        ("opcode", "RFC 6455, section 5.2"),
        ("mask", "RFC 6455, section 5.1"),
        ("length", "RFC 6455, section 5.2"),
        ("key", "RFC 6455, section 5.3"),
    ]:
        row.locator(f"[data-field={name}]").first.hover()
        expect(note.get_by_role("link")).to_have_text(section)
        expect(note).to_be_in_viewport(ratio=1)
    page.mouse.move(1, 1)
    expect(note).to_have_count(0)


def test_the_pointer_can_go_from_a_field_to_the_link_of_its_note(page, echo_server):
    open_page(page, echo_server, INSPECTOR)
    send(page, "x")
    page.locator("[data-field=opcode]").hover()
    link = page.locator("#field-note a")
    field, target = (
        locator.bounding_box() for locator in (page.locator("[data-field=opcode]"), link)
    )
    x = target["x"] + 20
    page.mouse.move(x, field["y"] + field["height"] - 4)
    page.mouse.move(x, target["y"] + target["height"] / 2, steps=20)
    expect(link).to_be_visible()
    expect(link).to_have_attribute("href", "https://www.rfc-editor.org/rfc/rfc6455#section-5.2")


def test_a_tap_explains_a_field_and_a_tap_elsewhere_puts_the_note_away(
    browser, complaints, echo_server
):
    context = browser.new_context(has_touch=True, viewport={"width": 390, "height": 844})
    page = context.new_page()
    try:
        open_page(page, echo_server, INSPECTOR)
        send(page, "x")
        page.locator("[data-field=mask]").tap()
        expect(page.locator("#field-note")).to_contain_text("Always 1 from a client")
        expect(page.locator("#field-note")).to_be_in_viewport(ratio=1)
        page.locator("h1").tap()
        expect(page.locator("#field-note")).to_have_count(0)
    finally:
        context.close()


def test_fields_are_explained_to_the_keyboard(page, echo_server):
    open_page(page, echo_server, INSPECTOR)
    send(page, "x")
    expect(page.locator(f"{FRAME}[data-source=reported]")).to_have_count(1)
    tab_to(page, "[data-field=fin]", "Shift+Tab")
    note = page.locator("#field-note")
    expect(page.locator("[data-field=fin]")).to_have_attribute("aria-describedby", "field-note")
    expect(note).to_contain_text("FIN")
    page.keyboard.press("End")
    expect(note).to_contain_text("Masking key")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("[data-field=rsv1]")).to_be_focused()
    expect(note).to_contain_text("RFC 7692")
    page.keyboard.press("Tab")
    expect(note.get_by_role("link")).to_be_focused()
    page.keyboard.press("Escape")
    expect(note).to_have_count(0)
    expect(page.locator("[data-field=rsv1]")).to_be_focused()


def test_header_fields_of_the_handshake_are_explained(page, echo_server):
    open_page(page, echo_server, INSPECTOR)
    page.locator("[data-note=sec-websocket-key]").first.focus()
    expect(page.locator("#field-note")).to_contain_text("16 random bytes")
    expect(page.locator("#field-note a")).to_have_text("RFC 6455, section 11.3.1")
