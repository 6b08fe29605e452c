"""The connections of the process by their ids: those that are open, and the last that ended."""

import re
import secrets
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from socket import AF_INET6, inet_ntoa, inet_pton
from time import monotonic
from typing import Any, Final, Literal, Self

from echo.net.connection import Connection
from echo.protocol.errors import Cause
from echo.protocol.rfc6455 import close_code_name

#: Records kept after the end of their connections: about 5 MB, at most 8 MB with the longest of
#: close reasons.
REMEMBERED: Final = 5_000

#: Seconds that a record is kept at least, unless its client has more records than any other.
KEPT: Final = 600.0

#: An id that a client may choose: as long as one that cannot be guessed, and safe in a URL.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

#: Random bytes of an id that the server makes; in base64 they are 22 characters.
_ID_BYTES: Final = 16

#: What an IPv4 address begins with where it is written as an IPv6 address (RFC 4291, 2.5.5.2).
_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"


def new_id() -> str:
    """An id that cannot be guessed."""
    return secrets.token_urlsafe(_ID_BYTES)


def is_id(text: str) -> bool:
    """Whether a client may choose this id: 22 to 64 letters, digits, underscores, hyphens."""
    return _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRecord:
    """What is known of a connection, while it lives or after its end.

    Times are in milliseconds, ``began`` is in UTC (ISO 8601); what is not known yet is None.
    """

    version: Literal[1] = 1
    id: str
    state: Literal["open", "closed"]
    peer: str
    path: str
    began: str
    duration_ms: float
    ended_by: Literal["peer", "server"] | None
    cause: Cause | None
    code: int | None
    code_name: str | None
    reason: str | None
    messages_in: int
    messages_out: int
    bytes_in: int
    bytes_out: int
    last_round_trip_ms: float | None

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """The record of a connection at this moment."""
        ended = connection.ended
        duration = monotonic() - connection.began
        began = datetime.now(UTC) - timedelta(seconds=duration)
        round_trip = connection.last_round_trip
        return cls(
            id=connection.id,
            state="open" if ended is None else "closed",
            peer=connection.peer,
            path=connection.path,
            began=began.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            duration_ms=round(duration * 1000, 3),
            ended_by=None if ended is None else ended.initiator,
            cause=None if ended is None else ended.cause,
            code=None if ended is None else int(ended.code),
            code_name=None if ended is None else close_code_name(ended.code),
            reason=None if ended is None else ended.reason,
            messages_in=connection.messages_in,
            messages_out=connection.messages_out,
            bytes_in=connection.bytes_in,
            bytes_out=connection.bytes_out,
            last_round_trip_ms=None if round_trip is None else round(round_trip * 1000, 3),
        )

    def as_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return asdict(self)


class Registry:
    """Finds connections by their ids."""

    def __init__(self, remembered: int = REMEMBERED, kept: float = KEPT) -> None:
        """``remembered``: number of records kept after the end of their connections; ``kept``: for
        how many seconds at least, see _ClosedRecords.
        """
        # None while the opening handshake is being answered.
        self._open: dict[str, Connection | None] = {}
        self._closed = _ClosedRecords(remembered, kept)

    def __contains__(self, connection_id: str) -> bool:
        return connection_id in self._open or self._closed.find(connection_id) is not None

    def reserve(self, connection_id: str) -> None:
        """Keep an id for a connection that is about to begin, or to be cancelled."""
        self._open[connection_id] = None

    def cancel(self, connection_id: str) -> None:
        """Free an id whose connection did not begin."""
        del self._open[connection_id]

    def add(self, connection: Connection) -> None:
        """Take in a connection that has begun."""
        self._open[connection.id] = connection

    def close(self, connection: Connection) -> ConnectionRecord:
        """Keep the record of a connection that is over, in its place; returns it."""
        self._open.pop(connection.id, None)
        record = ConnectionRecord.of(connection)
        self._closed.add(record)
        return record

    def find(self, connection_id: str) -> ConnectionRecord | None:
        """What is known of a connection; None when it is unknown, or was forgotten."""
        connection = self._open.get(connection_id)
        if connection is not None:
            return ConnectionRecord.of(connection)
        return self._closed.find(connection_id)


@dataclass(slots=True, eq=False)
class _Entry:
    """A record that is kept, and the next younger one of the same client."""

    record: ConnectionRecord
    since: float
    younger: "_Entry | None" = None


@dataclass(slots=True, eq=False)
class _Client:
    """The records of one client: how many, and the ends of the chain that they form."""

    count: int
    oldest: _Entry
    youngest: _Entry


class _ClosedRecords:
    """The records of connections that are over. Each operation takes constant time.

    When there are more than ``most``, the oldest of all is dropped if it is ``kept`` seconds old;
    otherwise the client that has most loses its oldest. So a flood of connections from one client
    pushes out its own records, and of other clients only those older than ``kept``.
    """

    def __init__(self, most: int, kept: float) -> None:
        self._most = most
        self._kept = kept
        # In both the oldest come first.
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        self._clients: dict[str, _Client] = {}
        self._highest = 0

    def find(self, connection_id: str) -> ConnectionRecord | None:
        """The record of an id, None if there is none."""
        entry = self._entries.get(connection_id)
        return None if entry is None else entry.record

    def add(self, record: ConnectionRecord) -> None:
        """Keep a record, and drop another one if there are too many."""
        entry = self._entries[record.id] = _Entry(record, monotonic())
        name = _client_of(record.peer)
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = _Client(0, entry, entry)
        else:
            client.youngest.younger = entry
            client.youngest = entry
        self._recount(name, client, 1)
        if len(self._entries) > self._most:
            self._drop_one()

    def _drop_one(self) -> None:
        oldest = next(iter(self._entries.values()))
        if monotonic() - oldest.since >= self._kept:
            name = _client_of(oldest.record.peer)
        else:
            name = next(iter(self._by_count[self._highest]))
        # The oldest of all is the oldest of its client, too.
        client = self._clients[name]
        del self._entries[client.oldest.record.id]
        self._recount(name, client, -1)
        if client.oldest.younger is None:
            del self._clients[name]
        else:
            client.oldest = client.oldest.younger

    def _recount(self, name: str, client: _Client, change: int) -> None:
        """Count one record more or less for a client."""
        if client.count:
            others = self._by_count[client.count]
            del others[name]
            if not others:
                del self._by_count[client.count]
        client.count += change
        if client.count:
            self._by_count.setdefault(client.count, OrderedDict())[name] = None
        if client.count > self._highest:
            self._highest = client.count
        elif self._highest not in self._by_count:
            self._highest -= 1


def _client_of(peer: str) -> str:
    """The client behind ``Connection.peer``: its IPv4 address, or the /64 of its IPv6 address.

    A single host usually has a whole /64 to itself.
    """
    if not peer.startswith("["):
        return peer.partition(":")[0]
    address = inet_pton(AF_INET6, peer[1:].partition("]")[0])
    # What a socket that listens on [::] calls its IPv4 clients.
    if address.startswith(_IPV4_MAPPED):
        return inet_ntoa(address.removeprefix(_IPV4_MAPPED))
    return address[:8].hex()
