"""gevent's pywsgi server, made strict: capacity, descriptors, stopping."""

import errno
from socket import socket
from time import monotonic
from typing import Any, Final, NoReturn, TextIO, cast
from wsgiref.types import WSGIApplication

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer

from echo.net.certificate import Certificate
from echo.net.channel import Channel
from echo.net.connection import Connection
from echo.net.counters import Counters
from echo.net.descriptors import descriptor_limit
from echo.net.events import Events
from echo.net.http import HTTPHandler
from echo.net.keepalive import Keepalive
from echo.net.limits import Limits
from echo.net.registry import Registry
from echo.net.tls_channel import TLSChannel
from echo.net.turns import Turns
from echo.net.upgrade import UpgradeHandler
from echo.protocol.budget import ReceiveBudget
from echo.protocol.errors import TooManyConnections

#: For the addresses that stand for all of the machine's own, one that can be connected to.
_LOOPBACK_OF_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104

#: Connections that the kernel keeps until they are accepted.
_BACKLOG: Final = 4096

#: Connections that are accepted in one round of the event loop at most, when it is busy.
_ACCEPTED: Final = 32

#: Descriptors that are kept for what is no connection: the listener, logs, the hub, refusals.
_SPARE_DESCRIPTORS: Final = 64

#: Connections that are told at one time that there are too many; beyond, they are just closed.
_REFUSALS: Final = 32

#: Seconds until the next attempt to accept, when there are no descriptors.
_ACCEPT_PAUSE: Final = 0.5

#: Seconds without such a failure until the next one is worth a line in the log again.
_STARVING_SILENCE: Final = 60.0

#: Seconds between two looks for messages that take too long.
_LONGEST_PAUSE: Final = 1.0

_NO_DESCRIPTORS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


# A greenlet that remembers who spawned it, and where, is a third larger and slower to make.
gevent.config.track_greenlet_tree = False


def local_url(scheme: str, host: str, port: int | str, *, tls: bool) -> str:
    """The root of a service for a client on this machine; of ``scheme``, or of it with TLS."""
    host = _LOOPBACK_OF_ANY.get(host, host)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}{'s' if tls else ''}://{host}:{port}"


class _FaultStream:
    """The stream that pywsgi writes tracebacks to."""

    def __init__(self, events: Events) -> None:
        self.write = events.fault


class HTTPServer(WSGIServer):
    """Serves a WSGI application whose views may call ``upgrade``.

    Attributes:
        limits: what a peer may take.
        budget: the memory that all unfinished messages share.
        capacity: connections that are served at one time.
        scheme: ``https`` with TLS; None without, as a proxy in front may end it.
        registry: finds the WebSockets by their ids.
        turns: in which the requests of all connections are answered.
        events: is told what happens.
        counters: counts what connections receive and send; None to count nothing.
    """

    handler_class = UpgradeHandler

    def __init__(
        self,
        listener: tuple[str, int] | socket,
        application: WSGIApplication,
        events: Events,
        *,
        limits: Limits | None = None,
        registry: Registry | None = None,
        certificate: Certificate | None = None,
        counters: Counters | None = None,
    ) -> None:
        """``listener``: host and port to listen on, port 0 for any that is free; or a socket that
        listens already, shared with other processes.

        ``events`` is told what happens. ``registry``: where connections are found by their ids.
        ``certificate``: to speak TLS. ``counters``: for what connections receive and send; None to
        count nothing.
        """
        self.counters = counters
        self.events = events
        self.registry = Registry() if registry is None else registry
        self.limits = Limits() if limits is None else limits
        shared = isinstance(listener, socket)
        self.host = listener[0] if isinstance(listener, tuple) else listener.getsockname()[0]
        self._certificate = certificate
        self.scheme = "https" if certificate else None
        self._greenlets = Pool()
        self.turns = Turns()
        # In which messages are handled behind those that a connection handles at a time.
        self._message_turns = Turns()
        super().__init__(
            listener,
            application,
            backlog=None if shared else _BACKLOG,
            spawn=self._greenlets,
            # What pywsgi itself has to say of faults; its access log is ours.
            log=None,
            error_log=cast(TextIO, _FaultStream(events)),
            environ={
                # pywsgi would ask the resolver for it, which can take seconds.
                "SERVER_NAME": self.host,
                "wsgi.url_scheme": "https" if certificate else "http",
                "wsgi.multiprocess": shared,
            },
        )
        self.budget = ReceiveBudget(self.limits.receive_budget)
        wanted = self.limits.max_connections + _SPARE_DESCRIPTORS
        self._descriptors = descriptor_limit(wanted)
        self.capacity = max(1, min(wanted, self._descriptors) - _SPARE_DESCRIPTORS)
        self._clients: set[UpgradeHandler] = set()
        self._refusing = 0
        self._starved = -_STARVING_SILENCE
        self._stopping = False
        self._keepalive = Keepalive(self.limits.ping_interval, self.limits.ping_timeout)
        self._keeper: gevent.Greenlet[..., Any] | None = None
        self._clerk: gevent.Greenlet[..., Any] | None = None

    @property
    def accepting(self) -> bool:
        """Whether a further connection would be served: there is room, and no end in sight."""
        return not self._stopping and len(self._clients) < self.capacity

    def url(self, scheme: str) -> str:
        """The service's root for a client on this machine, once the server has started.

        ``scheme``: http or ws; with TLS it becomes https or wss.
        """
        return local_url(scheme, self.host, self.address[1], tls=self._certificate is not None)

    def make_channel(self, sock: socket) -> Channel:
        """The channel of a connection that was accepted."""
        if self._certificate is None:
            return Channel(sock, self._message_turns)
        return TLSChannel(sock, self._certificate.context, self._message_turns)

    def reload_certificate(self) -> None:
        """Read the certificate anew, for connections to come; a bad one is not taken."""
        if self._certificate is None:
            self.events.notice("nothing to read again: this server has no certificate")
            return
        try:
            new = self._certificate.refresh()
        except OSError as error:
            self.events.notice(f"the new certificate is not taken: {error}")
        else:
            what = "a new one" if new else "the same as before"
            self.events.notice(f"the certificate is {what}")

    def start(self) -> None:
        """Listen, and look after the connections."""
        super().start()
        if self.capacity < self.limits.max_connections:
            self.events.notice(
                f"the limit of open files (ulimit -n) is {self._descriptors}: this leaves room "
                f"for {self.capacity} connections of --max-connections "
                f"{self.limits.max_connections}"
            )
        if self.limits.ping_interval and self._keeper is None:
            self._keeper = gevent.spawn(self._keepalive.run)
        if self.limits.message_timeout and self._clerk is None:
            self._clerk = gevent.spawn(self._end_overdue_messages)

    def stop(self, timeout: float | None = None) -> None:
        """Stop listening and end every connection: a WebSocket with 1001, behind its answers.

        Connections that have not ended within ``timeout`` seconds are aborted.
        """
        self._stopping = True
        self.close()
        for handler in self._clients:
            handler.go_away()
        super().stop(timeout)
        if self._keeper is not None:
            self._keeper.kill()
            self._keeper = None
        if self._clerk is not None:
            self._clerk.kill()
            self._clerk = None

    def register(self, connection: Connection) -> None:
        """Take in a connection; called when a request has become one."""
        self.registry.add(connection)
        self._keepalive.watch(connection)
        self.events.opened(connection)
        if self._stopping:
            connection.go_away_soon()

    def set_max_accept(self) -> None:
        """Do nothing, as max_accept is no constant; pywsgi calls it."""

    @property
    def max_accept(self) -> int:  # type: ignore[override]
        """Connections to accept in one round of the event loop.

        One, as asking for another that is not there costs more than a further round; and of
        processes that share a listener, each leaves the next one to the others. More when this
        process is so busy that its rounds are long.
        """
        return _ACCEPTED if self.turns.crowded or self._message_turns.crowded else 1

    def do_handle(self, sock: socket, address: Any) -> None:
        """Serve a connection that was accepted, in a greenlet of its own.

        Without gevent's wrapper, which closes what the handler's Channel closes already: what lies
        on a greenlet's C stack is copied whenever it waits, and stays with it while it is idle.
        """
        self._greenlets.spawn(self.handle, sock, address)

    def handle(self, sock: socket, address: Any) -> None:
        """Serve a connection that was accepted, or refuse it when there are too many."""
        if len(self._clients) >= self.capacity:
            self._refuse(sock, address)
            return
        handler = self.handler_class(sock, address, self)
        self._clients.add(handler)
        if self._stopping:  # since the connection was accepted
            handler.go_away()
        try:
            handler.handle()
        finally:
            self._clients.discard(handler)
            if handler.connection is not None:
                self._keepalive.forget(handler.connection)
                self.events.closed(self.registry.close(handler.connection))

    def do_read(self) -> tuple[socket, Any] | None:  # type: ignore[override]
        """Accept a connection. Without descriptors for it, say so once and try again later.

        It is a plain socket: nobody would use the watchers of one of gevent's.
        """
        listener = self.socket
        try:
            descriptor, address = listener._accept()  # type: ignore[attr-defined]
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NO_DESCRIPTORS:
                raise
            now = monotonic()
            if now - self._starved >= _STARVING_SILENCE:
                self.events.notice(f"cannot accept connections for now: {error.strerror}")
            self._starved = now
            self.stop_accepting()
            gevent.spawn_later(_ACCEPT_PAUSE, self._accept_again)
            return None
        return socket(listener.family, listener.type, listener.proto, fileno=descriptor), address

    def _end_overdue_messages(self) -> NoReturn:
        """End messages that take too long, once a second."""
        timeout = self.limits.message_timeout
        while True:
            gevent.sleep(min(timeout / 10, _LONGEST_PAUSE))
            self.budget.end_overdue(timeout)

    def _accept_again(self) -> None:
        if not self.closed:
            self.start_accepting()

    def _refuse(self, sock: socket, address: Any) -> None:
        """Answer 503 to a connection above the capacity."""
        reason = f"this server takes {self.capacity} connections at a time; try again later"
        handler = HTTPHandler(sock, address, self)
        if self._refusing >= _REFUSALS:
            handler.log_refusal(TooManyConnections(f"{reason} (closed without this answer)"))
            handler.channel.close()
            return
        self._refusing += 1
        try:
            handler.turn_away(TooManyConnections(reason))
        finally:
            self._refusing -= 1
