"""The figures of the service for Prometheus, at ``/metrics``.

What happens once in a connection's life is counted when it happens. What happens with every message
is counted in ``echo.net.counters``, and taken from there by a greenlet twice a second and when
somebody asks.

Several processes share their figures through files when the environment has
PROMETHEUS_MULTIPROC_DIR; then every process shows the figures of all. See ``metrics_files``.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final, NoReturn

import gevent
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from echo import metrics_files
from echo.net.connection import Connection
from echo.net.counters import Counters, Counts
from echo.net.events import Answer
from echo.net.records import ConnectionRecord
from echo.protocol.rfc6455 import close_code_name

# They double the page, and what they say counters say too.
disable_created_metrics()  # type: ignore[no-untyped-call]

#: Seconds from one handing over to the next; how late the greenlet is tells the loop's delay.
_PERIOD: Final = 0.5

#: Upper bounds of messages' sizes: powers of two from 64 bytes to 16 MiB.
_SIZES: Final = [2**power for power in range(6, 25, 2)]

#: Upper bounds of round trips: powers of two in microseconds, from 64 us to 67 s.
_ROUND_TRIPS: Final = [2**power for power in range(6, 27, 2)]

_MICROSECOND: Final = 1e-6

#: Upper bounds of the loop's delay, in seconds.
_DELAYS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class PowerHistogram(Histogram):
    """A histogram that takes many observations at once; its bounds are powers of two.

    The library's own takes one at a time, which at a million messages a second it cannot.
    """

    def add(self, counts: Counts, unit: float = 1) -> None:
        """Add what was counted; ``unit``: what 1 of it is in the histogram's own unit."""
        for power, times in enumerate(counts.powers):
            if times:
                number = 2**power * unit
                index = next(i for i, bound in enumerate(self._upper_bounds) if number <= bound)
                self._buckets[index].inc(times)
        self._sum.inc(counts.total * unit)


class Metrics:
    """The metrics of this process, which listen to the events of its server."""

    def __init__(self, counters: Counters, lines_dropped: Callable[[], int]) -> None:
        """``counters``: the server's; ``lines_dropped``: how many lines the logs have dropped since
        the start.
        """
        self._counters = counters
        registry = CollectorRegistry()
        self._shown = registry
        if metrics_files.shared():
            self._shown = CollectorRegistry()
            MultiProcessCollector(self._shown)  # type: ignore[no-untyped-call]
        self._lines_dropped = lines_dropped
        self._dropped = 0
        self._open = Gauge(
            "echo_connections_open",
            "WebSockets that are open.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._opened = Counter(
            "echo_connections", "WebSockets that were opened.", registry=registry
        )
        self._closed = Counter(
            "echo_connections_closed",
            "WebSockets that are over, by close code (other: none that is registered), by who "
            "ended them, and by what did.",
            ("code", "ended_by", "cause"),
            registry=registry,
        )
        self._refused = Counter(
            "echo_refused",
            "Requests and connections that were refused, by the exception's class or the status.",
            ("reason",),
            registry=registry,
        )
        self._messages = Counter(
            "echo_messages", "Data messages.", ("direction", "kind"), registry=registry
        )
        self._bytes = Counter(
            "echo_message_bytes",
            "Payloads of data messages, as they are when not compressed.",
            ("direction", "kind"),
            registry=registry,
        )
        self._sizes = PowerHistogram(
            "echo_message_size_bytes",
            "Sizes of the messages that were received, when not compressed.",
            ("kind",),
            buckets=_SIZES,
            registry=registry,
        )
        self._round_trips = PowerHistogram(
            "echo_ping_round_trip_seconds",
            "From a ping of the server to its pong.",
            buckets=[bound * _MICROSECOND for bound in _ROUND_TRIPS],
            registry=registry,
        )
        self._lines = Counter(
            "echo_log_lines_dropped",
            "Log lines that were dropped, as the output was too slow.",
            registry=registry,
        )
        self._delay = Histogram(
            "echo_event_loop_delay_seconds",
            "How much later than asked for a greenlet runs that has slept.",
            buckets=_DELAYS,
            registry=registry,
        )
        for opcode in counters.received:
            kind = opcode.name.lower()
            for direction in ("in", "out"):
                self._messages.labels(direction, kind)
                self._bytes.labels(direction, kind)
            self._sizes.labels(kind)

    def opened(self, _: Connection) -> None:
        """Count a WebSocket that begins."""
        self._opened.inc()
        self._open.inc()

    def closed(self, record: ConnectionRecord) -> None:
        """Count a WebSocket that is over."""
        self._open.dec()
        code = "other" if close_code_name(record.code or 0) is None else str(record.code)
        self._closed.labels(code, record.ended_by or "", record.cause or "").inc()

    def answered(self, answer: Answer) -> None:
        """Count a refusal."""
        if answer.refused_as:
            self._refused.labels(answer.refused_as).inc()

    def tls_failed(self, _: str, __: str) -> None:
        """Count a TLS handshake that failed, as a refusal."""
        self._refused.labels("TLS").inc()

    def run(self) -> NoReturn:
        """Hand over the counts again and again, and see how late that is."""
        while True:
            due = monotonic() + _PERIOD
            gevent.sleep(_PERIOD)
            self._delay.observe(max(0.0, monotonic() - due))
            self.collect()

    def collect(self) -> None:
        """Hand over what was counted since the last time."""
        counters = self._counters
        for direction, sizes in (("in", counters.received), ("out", counters.sent)):
            for opcode, histogram in sizes.items():
                kind = opcode.name.lower()
                counts = histogram.take()
                self._messages.labels(direction, kind).inc(counts.number)
                self._bytes.labels(direction, kind).inc(counts.total)
                if direction == "in":
                    self._sizes.labels(kind).add(counts)
        self._round_trips.add(counters.round_trips.take(), _MICROSECOND)
        dropped = self._lines_dropped()
        self._lines.inc(dropped - self._dropped)
        self._dropped = dropped

    def page(self, accept: str) -> tuple[bytes, str]:
        """The figures in the format that an Accept field asks for, and their content type.

        Raises MetricsLost when the processes cannot share them any more.
        """
        if metrics_files.lost():
            raise metrics_files.MetricsLost(
                "The directory that the processes share was removed or emptied. Restart the "
                "service, or send gunicorn SIGHUP."
            )
        self.collect()
        encode, content_type = choose_encoder(accept)
        return encode(self._shown), content_type
