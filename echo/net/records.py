"""What is known of connections and of refused handshakes, and the store of what is over."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from socket import AF_INET6, inet_ntoa, inet_pton
from time import monotonic
from typing import Any, Final, Generic, Literal, Self, TypeVar

from echo.net.connection import Connection
from echo.protocol.credentials import Redactor
from echo.protocol.errors import Cause
from echo.protocol.excerpts import ENTRY_EXCERPT, excerpt
from echo.protocol.rfc6455 import close_code_name

#: Characters of a refused handshake's header fields, all together, and what each field counts for
#: beside its characters.
_FIELDS_EXCERPT: Final = 4096
_FIELD_COST: Final = 32

#: What an IPv4 address begins with where it is written as an IPv6 address (RFC 4291, 2.5.5.2).
_IPV4_MAPPED: Final = bytes(10) + b"\xff\xff"


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
            began=_iso(began),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedHandshake:
    """What is known of an opening handshake that was refused.

    ``began`` is in UTC (ISO 8601). Of long lines and fields only the beginning is kept;
    ``headers_omitted`` counts the fields that are left out. ``cures``: what to change, in lines.
    """

    version: Literal[1] = 1
    id: str
    state: Literal["refused"] = "refused"
    peer: str
    began: str
    request_line: str
    headers: list[list[str]]
    headers_omitted: int
    status: int
    reason: str
    cures: list[str]

    @classmethod
    def of(
        cls,
        connection_id: str,
        peer: str,
        line: str,
        fields: Sequence[tuple[str, str]],
        *,
        status: int,
        reason: str,
        cures: Iterable[str],
        hash_key: bytes | None,
    ) -> Self:
        """The record of a handshake that is refused now.

        ``hash_key``: as Redactor's, by which credentials are replaced; None to show them.
        """
        headers: list[tuple[str, str]] = []
        room = _FIELDS_EXCERPT
        for name, value in fields:
            shown = (excerpt(name, ENTRY_EXCERPT), excerpt(value, ENTRY_EXCERPT))
            room -= _FIELD_COST + len(shown[0]) + len(shown[1])
            if room >= 0:
                headers.append(shown)
        omitted = len(fields) - len(headers)
        if hash_key is not None:
            headers = Redactor(headers, hash_key).redact(headers)
        return cls(
            id=connection_id,
            peer=peer,
            began=_iso(datetime.now(UTC)),
            request_line=excerpt(line, ENTRY_EXCERPT),
            headers=[list(field) for field in headers],
            headers_omitted=omitted,
            status=status,
            reason=excerpt(reason, ENTRY_EXCERPT),
            cures=list(cures),
        )

    def as_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return asdict(self)


#: What is known of an id.
Record = ConnectionRecord | RefusedHandshake


def _iso(moment: datetime) -> str:
    """A time in UTC, with milliseconds, as ISO 8601."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_Kept = TypeVar("_Kept", bound=Record)


@dataclass(slots=True, eq=False)
class _Entry(Generic[_Kept]):
    """A record that is kept, and the next younger one of the same client."""

    record: _Kept
    since: float
    younger: "_Entry[_Kept] | None" = None


@dataclass(slots=True, eq=False)
class _Client(Generic[_Kept]):
    """The records of one client: how many, and the ends of the chain that they form."""

    count: int
    oldest: _Entry[_Kept]
    youngest: _Entry[_Kept]


class KeptRecords(Generic[_Kept]):
    """The records of what is over. Each operation takes constant time.

    When there are more than ``most``, the oldest of all is dropped if it is ``kept`` seconds old;
    otherwise the client that has most loses its oldest. So a flood of connections from one client
    pushes out its own records, and of other clients only those older than ``kept``.
    """

    def __init__(self, most: int, kept: float) -> None:
        self._most = most
        self._kept = kept
        # In both the oldest come first.
        self._entries: OrderedDict[_Entry[_Kept], None] = OrderedDict()
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        self._by_id: dict[str, _Entry[_Kept]] = {}
        self._clients: dict[str, _Client[_Kept]] = {}
        self._highest = 0

    def find(self, connection_id: str) -> _Kept | None:
        """The record of an id, None if there is none."""
        entry = self._by_id.get(connection_id)
        return None if entry is None else entry.record

    def forget(self, connection_id: str) -> None:
        """Find nothing any more for an id, which is that of another record now."""
        self._by_id.pop(connection_id, None)

    def add(self, record: _Kept) -> None:
        """Keep a record, and drop another one if there are too many.

        One of the same id is not found any more, but counts until it is dropped.
        """
        entry = self._by_id[record.id] = _Entry(record, monotonic())
        self._entries[entry] = None
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
        oldest = next(iter(self._entries))
        if monotonic() - oldest.since >= self._kept:
            name = _client_of(oldest.record.peer)
        else:
            name = next(iter(self._by_count[self._highest]))
        # The oldest of all is the oldest of its client, too.
        client = self._clients[name]
        del self._entries[client.oldest]
        if self._by_id.get(client.oldest.record.id) is client.oldest:
            del self._by_id[client.oldest.record.id]
        self._recount(name, client, -1)
        if client.oldest.younger is None:
            del self._clients[name]
        else:
            client.oldest = client.oldest.younger

    def _recount(self, name: str, client: _Client[_Kept], change: int) -> None:
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
