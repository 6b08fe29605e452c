"""The connections of the process by their ids: those that are open, and the last that ended."""

import re
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs

from echo.net.connection import Connection
from echo.net.records import ConnectionRecord, KeptRecords, Record, RefusedHandshake
from echo.protocol.errors import BadRequest
from echo.protocol.excerpts import quoted

#: Records kept after the end of their connections: about 5 MB, at most 8 MB with the longest of
#: close reasons.
REMEMBERED: Final = 5_000

#: Records kept of refused handshakes: at most 10 MB.
REMEMBERED_REFUSALS: Final = 1_000

#: Seconds that a record is kept at least, unless its client has more records than any other.
KEPT: Final = 600.0

#: The parameter of the query by which a client chooses an id; all others are its own affair.
ID_PARAMETER: Final = "echo-id"

#: An id that a client may choose: as long as one that cannot be guessed, and safe in a URL.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

#: Random bytes of an id that the server makes; in base64 they are 22 characters.
_ID_BYTES: Final = 16

#: Bytes of the key by which the credentials of a refused handshake are hashed.
_KEY_BYTES: Final = 16


def is_id(text: str) -> bool:
    """Whether a client may choose this id: 22 to 64 letters, digits, underscores, hyphens."""
    return _ID.fullmatch(text) is not None


def chosen_id(query: str) -> str | None:
    """The id that a client has chosen in a request's query, valid or not; None for none.

    A script in a browser chooses, as it does not see the header fields of the response.
    """
    if ID_PARAMETER not in query:
        return None
    values = parse_qs(query, keep_blank_values=True).get(ID_PARAMETER)
    return values[0] if values else None


def _new_id() -> str:
    """An id that cannot be guessed."""
    return secrets.token_urlsafe(_ID_BYTES)


class Registry:
    """Finds connections, and what is known of those that ended or were refused, by their ids."""

    def __init__(
        self,
        remembered: int = REMEMBERED,
        kept: float = KEPT,
        refusals: int = REMEMBERED_REFUSALS,
        *,
        show_credentials: bool = False,
    ) -> None:
        """``remembered``: number of records kept after the end of their connections; ``kept``: for
        how many seconds at least, see KeptRecords; ``refusals``: number of records kept of refused
        handshakes; ``show_credentials``: whether these have the values of cookies, tokens and keys.
        """
        # None while the opening handshake is being answered.
        self._open: dict[str, Connection | None] = {}
        self._closed: KeptRecords[ConnectionRecord] = KeptRecords(remembered, kept)
        self._refused: KeptRecords[RefusedHandshake] = KeptRecords(refusals, kept)
        self._show_credentials = show_credentials

    def reserve(self, query: str) -> str:
        """Keep an id for a connection that is about to begin, or to be cancelled; returns it.

        It is the one in the request's ``query``, or a new one. Raises BadRequest for one that is
        malformed, or of a connection that is open.
        """
        chosen = chosen_id(query)
        if chosen is None:
            chosen = _new_id()
        elif not is_id(chosen):
            raise BadRequest(
                f"{ID_PARAMETER} {quoted(chosen)} is not valid: it has 22 to 64 letters, digits, "
                "underscores and hyphens."
            )
        elif chosen in self._open:
            raise BadRequest(
                f"{ID_PARAMETER} {quoted(chosen)} names a connection that is open: choose another, "
                "best of 16 random bytes."
            )
        self._open[chosen] = None
        return chosen

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
        self._refused.forget(record.id)
        self._closed.add(record)
        return record

    def refuse(
        self,
        peer: str,
        line: str,
        fields: Sequence[tuple[str, str]],
        query: str,
        *,
        status: int,
        reason: str,
        cures: Sequence[str] = (),
    ) -> RefusedHandshake:
        """Keep the record of an opening handshake that is refused; returns it.

        Its id is the one in the request's ``query``, or a new one where that cannot be had.
        """
        chosen = chosen_id(query)
        if chosen is None or not is_id(chosen) or chosen in self._open:
            chosen = _new_id()
        record = RefusedHandshake.of(
            chosen,
            peer,
            line,
            fields,
            status=status,
            reason=reason,
            cures=cures,
            hash_key=None if self._show_credentials else secrets.token_bytes(_KEY_BYTES),
        )
        self._closed.forget(record.id)
        self._refused.add(record)
        return record

    def find(self, connection_id: str) -> Record | None:
        """What is known of an id; None when it is unknown, or was forgotten."""
        connection = self._open.get(connection_id)
        if connection is not None:
            return ConnectionRecord.of(connection)
        return self._closed.find(connection_id) or self._refused.find(connection_id)
