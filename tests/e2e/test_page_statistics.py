"""What the page makes of round-trip times, module by module; numbers as languages write them."""

import pytest

from tests.e2e.browser import run

STATISTICS = "load/statistics.js"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([7], [7, 7, 7, 7, 7]),
        ([100, *range(99, 0, -1)], [1, 50, 95, 99, 100]),
        ([10, 9, 100], [9, 10, 100, 100, 100]),
    ],
)
def test_quantiles_are_times_that_occurred_by_the_nearest_rank(module_page, times, expected):
    quantiles = run(module_page, STATISTICS, "(m, times) => m.quantilesOf(times)", times)
    assert quantiles == dict(zip(["min", "median", "p95", "p99", "max"], expected, strict=True))


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0.3, 0.3, [0.2, 0.5]),
        (0.05, 0.05, [0.05, 0.1]),
        (3, 30, [2, 5, 10, 20, 50]),
        (1, 1, [1, 2]),
        (999, 1000, [500, 1000, 2000]),
    ],
)
def test_the_steps_of_a_scale_enclose_the_times(module_page, low, high, steps):
    assert run(module_page, STATISTICS, "(m, l, h) => m.stepsAround(l, h)", low, high) == steps


def test_rates_are_those_of_the_time_it_took(module_page):
    measured = run(
        module_page,
        STATISTICS,
        """({ measure }) => {
            const { messages, bytes, max } =
                measure({ times: Float64Array.of(1, 2, 3, 99), done: 3, size: 500, seconds: 0.5 });
            return { messages, bytes, max };
        }""",
    )
    assert measured == {"messages": 6, "bytes": 3000, "max": 3}


def test_the_histogram_counts_each_time_in_its_bucket(module_page):
    buckets = run(
        module_page,
        STATISTICS,
        """({ measure }) => {
            const times = Float64Array.of(30, 0.04, 0.1, 0.19, 0.2, 1, 1.99, 0, 29, 999);
            return measure({ times, done: 9, size: 1, seconds: 1 }).buckets;
        }""",
    )
    assert buckets == [
        {"from": None, "to": 0.1, "count": 2},
        {"from": 0.1, "to": 0.2, "count": 2},
        {"from": 0.2, "to": 0.5, "count": 1},
        {"from": 0.5, "to": 1, "count": 0},
        {"from": 1, "to": 2, "count": 2},
        {"from": 2, "to": 5, "count": 0},
        {"from": 5, "to": 10, "count": 0},
        {"from": 10, "to": 20, "count": 0},
        {"from": 20, "to": 50, "count": 2},
    ]


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("1", 1),
        ("1,048,576", 1_048_576),
        (" 1 0_0\u20190 ", 1000),
        ("1048577", None),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("\uff11", None),
        ("", None),
    ],
)
def test_a_field_for_a_number_reads_whole_numbers_within_its_bounds(module_page, typed, read):
    # JSON, and with it Playwright, has no NaN of its own.
    field = """({ makeNumberField }, { Wording }, typed) => {
        const bounds = { min: 1, max: 1_048_576, value: 1 };
        const { input, read } = makeNumberField(new Wording({}), "number", () => "Number", bounds);
        input.value = typed;
        return Number.isNaN(read()) ? null : read();
    }"""
    assert run(module_page, "ui/fields.js ui/wording.js", field, typed) == read


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", ["1 byte", "1,234 bytes", "0.0 ms", "9.9 ms", "10 ms", "1,500 ms", "1.5 s"]),
        ("zh", ["1 字节", "1,234 字节", "0.0 毫秒", "9.9 毫秒", "10 毫秒", "1,500 毫秒", "1.5 秒"]),
    ],
)
def test_numbers_have_the_units_of_the_language(module_page, language, said):
    say = """({ bytes, duration, milliseconds }) => [
        ...[1, 1234].map(bytes), ...[0, 9.9, 10.2, 1500].map(milliseconds), duration(1500),
    ]"""
    assert run(module_page, f"i18n/{language}/units.js", say) == said
