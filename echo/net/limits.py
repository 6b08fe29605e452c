"""The bounds of what a peer may take: sizes, times and numbers, each with its default."""

from dataclasses import dataclass

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes are in bytes and times in seconds.

    Attributes:
        max_connections: connections of one process, of all kinds.
        max_message_size: a message's payload.
        receive_budget: the messages of all connections that come in several pieces or compressed,
            inflated, until they are dealt with.
        head_timeout: for the head of a request, from its first byte; for the first one of a
            connection from when it is accepted.
        keep_alive_timeout: for an HTTP connection without a request.
        ping_interval: without input until a ping is sent; 0 for never.
        ping_timeout: from the ping until something has come; 0 for no end.
        close_timeout: for the closing handshake.
        write_timeout: for a write of which the peer takes nothing.
        shutdown_timeout: for all connections to end when the server stops.
    """

    max_connections: int = 10_000
    max_message_size: int = 16 * _MEBIBYTE
    receive_budget: int = 256 * _MEBIBYTE
    head_timeout: float = 10.0
    keep_alive_timeout: float = 100.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    write_timeout: float = 30.0
    shutdown_timeout: float = 10.0
