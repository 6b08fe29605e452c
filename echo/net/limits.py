"""The bounds of what a peer may take: sizes, times and numbers, each with its default."""

from dataclasses import dataclass

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes are in bytes and times in seconds.

    Attributes:
        max_connections: connections of one process, of all kinds.
        max_message_size: a message's payload.
        receive_budget: what connections hold beyond 64 KiB each: unfinished messages, inflated,
            input that waits to be parsed and output that waits to be sent.
        message_timeout: for a message above 64 KiB in several pieces, from when it has become so
            large until it is dealt with; 0 for no end.
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
    message_timeout: float = 600.0
    head_timeout: float = 10.0
    keep_alive_timeout: float = 100.0
    ping_interval: float = 20.0
    ping_timeout: float = 20.0
    close_timeout: float = 10.0
    write_timeout: float = 30.0
    shutdown_timeout: float = 10.0
