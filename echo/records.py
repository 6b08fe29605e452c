"""Where the records of connections are, so that each process can tell of those of all the others.

See ``redis_records`` for those that several processes share.
"""

from echo.net.registry import ConnectionRecord


class RecordsUnavailable(Exception):
    """A lookup failed: nobody can say now whether there is such a record."""


class LocalRecords:
    """No records but those of the process itself.

    Attributes:
        unknown: what to tell whoever asks for a connection that is not known.
    """

    unknown = "This process knows no connection of that id; another one may, if there are several."

    def put(self, record: ConnectionRecord) -> None:
        """Make a record known to all processes. Never blocks."""

    def find(self, connection_id: str) -> ConnectionRecord | None:  # noqa: ARG002
        """What any process has put; None for what is unknown. Raises RecordsUnavailable."""
        return None

    def close(self, timeout: float = 2.0) -> None:
        """Write what is still to be written, for at most ``timeout`` seconds."""
