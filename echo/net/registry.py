"""The connections of the process by their ids: those that are open, and the last that ended."""

import re
import secrets
from collections import OrderedDict
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final, Literal, Self

from echo.net.connection import Connection
from echo.protocol.errors import Cause
from echo.protocol.rfc6455 import close_code_name

#: Connections that are remembered after their end; beyond, the oldest are forgotten.
REMEMBERED: Final = 1_000

#: An id that a client may choose: as long as one that cannot be guessed, and safe in a URL.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

#: Random bytes of an id that the server makes; in base64 they are 22 characters.
_ID_BYTES: Final = 16


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

    def __init__(self, remembered: int = REMEMBERED) -> None:
        """``remembered``: connections of which the record is kept after their end."""
        self._remembered = remembered
        # None while the opening handshake is being answered.
        self._open: dict[str, Connection | None] = {}
        self._closed: OrderedDict[str, ConnectionRecord] = OrderedDict()

    def __contains__(self, connection_id: str) -> bool:
        return connection_id in self._open or connection_id in self._closed

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
        record = self._closed[connection.id] = ConnectionRecord.of(connection)
        if len(self._closed) > self._remembered:
            self._closed.popitem(last=False)
        return record

    def find(self, connection_id: str) -> ConnectionRecord | None:
        """What is known of a connection; None when it is unknown, or was forgotten."""
        connection = self._open.get(connection_id)
        if connection is not None:
            return ConnectionRecord.of(connection)
        return self._closed.get(connection_id)
