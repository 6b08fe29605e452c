"""The chart of the last round-trip times, in a real browser."""

import re

from playwright.sync_api import expect

from tests.e2e.browser import (
    RECEIVED,
    expect_no_violation,
    open_page,
    open_without_application,
    run,
    send,
)

ROOT = "#round-trips-root"
NONE = "\u2013"
PLOT = f"{ROOT} .plot"

#: A chart in ``window.chart``, for times that the test chooses.
MAKE_CHART = """({ createRoundTrips }, { TEXTS }) => {
    window.TEXTS = TEXTS;
    const root = document.querySelector("#round-trips-root");
    window.chart = createRoundTrips(root, { texts: TEXTS.en.roundTrips });
}"""


def make_chart(page, server):
    open_without_application(page, server)
    run(page, "load/round_trips_view.js i18n/texts.js", MAKE_CHART)


def add(page, *times):
    page.evaluate("times => times.forEach((ms) => chart.add(ms))", list(times))


def expect_statistics(page, **texts):
    for name, text in texts.items():
        expect(page.locator(f"{ROOT} [data-name={name}]")).to_have_text(text)


def expect_points(page, number):
    expect(page.locator(f"{PLOT} .points")).to_have_attribute(
        "d", re.compile(rf"^(M[\d.]+ [\d.]+h0){{{number}}}$")
    )


def test_the_chart_starts_empty_and_says_so(page, echo_server):
    open_page(page, echo_server)
    expect(page.locator(f"{ROOT} .empty")).to_have_text("No round trip yet.")
    expect(page.get_by_role("img", name="No round trip yet.")).to_be_visible()
    expect_statistics(page, min=NONE, median=NONE, p95=NONE, max=NONE)


def test_each_echo_is_a_point_and_clear_removes_them(page, echo_server):
    open_page(page, echo_server)
    for number in range(3):
        send(page, f"{number}")
        expect(page.locator(RECEIVED)).to_have_count(number + 1)
    expect_points(page, 3)
    expect(page.locator(f"{ROOT} .shown")).to_have_text("The last 3")
    expect(page.locator(f"{ROOT} [data-name=median]")).to_have_text(re.compile(r"^\d[\d.,]* ms$"))
    page.locator("#clear").click()
    expect(page.locator(f"{ROOT} .empty")).to_have_text("No round trip yet.")
    expect(page.locator(f"{PLOT} path")).to_have_count(0)


def test_min_median_p95_and_max_are_right(page, echo_server):
    make_chart(page, echo_server)
    add(page, 7)
    expect_statistics(page, min="7.0 ms", median="7.0 ms", p95="7.0 ms", max="7.0 ms")
    expect(page.locator(f"{ROOT} .shown")).to_have_text("The last one")
    page.evaluate("chart.clear()")
    add(page, *range(100, 0, -1))
    expect_statistics(page, min="1.0 ms", median="50 ms", p95="95 ms", max="100 ms")


def test_the_last_200_are_kept(page, echo_server):
    make_chart(page, echo_server)
    add(page, 9999, *([1] * 200))
    expect_points(page, 200)
    expect_statistics(page, max="1.0 ms")
    expect(page.locator(f"{ROOT} .shown")).to_have_text("The last 200")


def test_screen_readers_get_the_chart_in_words_of_the_language(page, echo_server):
    make_chart(page, echo_server)
    add(page, 0.5, 1, 20)
    expect(page.get_by_role("img")).to_have_accessible_name(
        "Chart of the last 3 round trips: from 0.5 ms to 20 ms, half of them within 1.0 ms, "
        "95 % within 20 ms."
    )
    page.evaluate("chart.setTexts(TEXTS.zh.roundTrips)")
    expect(page.get_by_role("img")).to_have_accessible_name(re.compile("^最近 3 次往返时间的图表"))
    expect_statistics(page, max="20 毫秒")
    expect(page.get_by_role("heading", name="往返时间")).to_be_visible()


def test_the_scale_fits_the_times_and_every_point_is_inside(page, echo_server):
    make_chart(page, echo_server)
    for times, labels in [
        ([0], ["0.05 ms", "0.1 ms"]),
        ([3, 30], ["2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]),
        ([0.3, 2500], ["1 ms", "10 ms", "100 ms", "1,000 ms"]),
    ]:
        page.evaluate("chart.clear()")
        add(page, *times)
        expect(page.locator(f"{ROOT} .scale span")).to_have_text(labels)
        path = page.locator(f"{PLOT} .points").get_attribute("d")
        for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)h0", path):
            assert 0 <= float(x) <= 1000
            assert 0 <= float(y) <= 100


def test_a_slower_message_is_drawn_higher_and_a_newer_one_further_right(page, echo_server):
    make_chart(page, echo_server)
    add(page, 1, 10)
    expect_points(page, 2)
    path = page.locator(f"{PLOT} .points").get_attribute("d")
    [(x1, y1), (x2, y2)] = re.findall(r"M([\d.]+) ([\d.]+)h0", path)
    assert float(x2) > float(x1)
    assert float(y2) < float(y1)


def test_it_is_drawn_once_a_frame_and_once_a_second_for_reduced_motion(page, echo_server):
    page.clock.install()
    page.emulate_media(reduced_motion="reduce")
    make_chart(page, echo_server)
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 60)
    page.clock.run_for(1_000)
    shown = page.locator(f"{ROOT} .shown")
    add(page, 1)
    page.clock.run_for(100)
    expect(shown).to_have_text("The last one")
    add(page, 2, 3)
    page.clock.run_for(800)
    expect(shown).to_have_text("The last one")
    page.clock.run_for(300)
    expect(shown).to_have_text("The last 3")

    page.emulate_media(reduced_motion="no-preference")
    add(page, 4)
    page.clock.run_for(100)
    expect(shown).to_have_text("The last 4")


def test_the_chart_can_be_seen_in_light_and_in_dark(page, echo_server):
    make_chart(page, echo_server)
    add(page, 0.5, 1, 20)
    expect_points(page, 3)
    expect_no_violation(page, ROOT)
    strokes = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        strokes.append(
            page.evaluate(
                "['points', 'median', 'p95', 'grid'].map((name) =>"
                " getComputedStyle(document.querySelector(`.plot .${name}`)).stroke)"
            )
        )
    light, dark = strokes
    assert len(set(light)) == len(set(dark)) == 4
    assert not set(light) & set(dark)


def test_on_a_phone_the_chart_keeps_to_its_width(page, echo_server):
    page.set_viewport_size({"width": 320, "height": 844})
    make_chart(page, echo_server)
    add(page, *([1234] * 250))
    expect_points(page, 200)
    root, plot = (page.locator(selector).bounding_box() for selector in (ROOT, PLOT))
    assert plot["x"] >= root["x"]
    assert plot["x"] + plot["width"] <= root["x"] + root["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == 320
