"""Every option of the service: its name, environment name, default, unit and bounds.

The fields of Settings are the only list of options. The command line, ``--help`` and the reading of
the environment are made from it, by click.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from socket import gaierror
from typing import Any, Final, Self

import click
from click.core import ParameterSource

from echo.net.certificate import Certificate
from echo.net.limits import Limits
from echo.option_types import (
    FileParameter,
    HostParameter,
    OriginParameter,
    RedisURLParameter,
    Seconds,
    SubprotocolParameter,
)
from echo.protocol.deflate import DeflatePolicy
from echo.protocol.handshake import HandshakePolicy
from echo.protocol.origins import read_origin
from echo.protocol.rfc6455 import MAX_PAYLOAD_LENGTH

_LIMITS: Final = Limits()
_DEFLATE: Final = DeflatePolicy()

#: The most proxies in a row that can be trusted.
_MOST_HOPS: Final = 100

#: The longest time that an option takes: a day, in seconds.
_DAY: Final = 86_400

_SECONDS: Final = Seconds(0, _DAY, min_open=True)
_SECONDS_OR_OFF: Final = Seconds(0, _DAY)


def _option(
    default: Any,
    flag: str,
    environment: str | tuple[str, ...],
    parameter: Any,
    text: str,
    *,
    repeat: bool = False,
) -> Any:
    """A field of Settings and the option that sets it.

    ``environment``: the variables that set it, the first one that is set counts.
    """
    metadata = {
        "flag": flag,
        "environment": (environment,) if isinstance(environment, str) else environment,
        "type": parameter,
        "help": text,
        "repeat": repeat,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can choose. Each field's help says its unit."""

    host: str = _option(
        "127.0.0.1",
        "--host",
        "ECHO_HOST",
        HostParameter(),
        "Address to listen on. By default, where PORT is set: HOST, else 0.0.0.0.",
    )
    port: int = _option(
        8000,
        "--port",
        ("ECHO_PORT", "PORT"),
        click.IntRange(0, 65535),
        "TCP port to listen on; 0 picks a free one.",
    )
    workers: int = _option(
        0,
        "--workers",
        "WEB_CONCURRENCY",
        click.IntRange(0),
        "Worker processes, managed by gunicorn; 0 serves from one process, without gunicorn.",
    )
    certfile: str | None = _option(
        None,
        "--certfile",
        "ECHO_CERTFILE",
        FileParameter(),
        "PEM file with the certificate and its chain; turns TLS on. SIGHUP reloads it.",
    )
    keyfile: str | None = _option(
        None,
        "--keyfile",
        "ECHO_KEYFILE",
        FileParameter(),
        "PEM file with the certificate's key; by default the key is in --certfile.",
    )
    max_message_size: int = _option(
        _LIMITS.max_message_size,
        "--max-message-size",
        "ECHO_MAX_MESSAGE_SIZE",
        click.IntRange(1, MAX_PAYLOAD_LENGTH),
        "Maximum message size in bytes; larger messages close the connection with 1009.",
    )
    max_connections: int = _option(
        _LIMITS.max_connections,
        "--max-connections",
        "ECHO_MAX_CONNECTIONS",
        click.IntRange(1),
        "Maximum connections per process; further ones get a 503.",
    )
    receive_budget: int = _option(
        _LIMITS.receive_budget,
        "--receive-budget",
        "ECHO_RECEIVE_BUDGET",
        click.IntRange(1),
        "Memory for messages in progress, in bytes, shared by all connections beyond 64 KiB "
        "each; when it is used up, the largest and oldest message ends with 1013.",
    )
    message_timeout: float = _option(
        _LIMITS.message_timeout,
        "--message-timeout",
        "ECHO_MESSAGE_TIMEOUT",
        _SECONDS_OR_OFF,
        "Maximum time for a message above 64 KiB to arrive and be echoed, in seconds; slower "
        "ones close the connection with 1008; 0 for no limit.",
    )
    head_timeout: float = _option(
        _LIMITS.head_timeout,
        "--head-timeout",
        "ECHO_HEAD_TIMEOUT",
        _SECONDS,
        "Maximum time for a request head to arrive, in seconds; slower ones get a 408.",
    )
    keep_alive_timeout: float = _option(
        _LIMITS.keep_alive_timeout,
        "--keep-alive-timeout",
        "ECHO_KEEP_ALIVE_TIMEOUT",
        _SECONDS,
        "Idle time before an HTTP connection is closed, in seconds; proxies in front should use "
        "less.",
    )
    ping_interval: float = _option(
        _LIMITS.ping_interval,
        "--ping-interval",
        "ECHO_PING_INTERVAL",
        _SECONDS_OR_OFF,
        "Time without input before a ping is sent, in seconds; 0 turns pings off.",
    )
    ping_timeout: float = _option(
        _LIMITS.ping_timeout,
        "--ping-timeout",
        "ECHO_PING_TIMEOUT",
        _SECONDS_OR_OFF,
        "Time without input after a ping, in seconds, before the connection is closed with 1011; "
        "0 for no limit.",
    )
    close_timeout: float = _option(
        _LIMITS.close_timeout,
        "--close-timeout",
        "ECHO_CLOSE_TIMEOUT",
        _SECONDS,
        "Maximum time for the closing handshake, in seconds; then the connection is aborted.",
    )
    write_timeout: float = _option(
        _LIMITS.write_timeout,
        "--write-timeout",
        "ECHO_WRITE_TIMEOUT",
        _SECONDS,
        "Maximum time for a client to take the next bytes of a write, in seconds; then the "
        "connection is aborted.",
    )
    shutdown_timeout: float = _option(
        _LIMITS.shutdown_timeout,
        "--shutdown-timeout",
        "ECHO_SHUTDOWN_TIMEOUT",
        _SECONDS_OR_OFF,
        "Maximum time for connections to close when the server stops, in seconds; the rest are "
        "aborted.",
    )
    compression: str = _option(
        "no-context",
        "--compression",
        "ECHO_COMPRESSION",
        click.Choice(["off", "no-context", "on"]),
        "permessage-deflate, if the client offers it; on keeps a context per connection: smaller "
        "messages, but 200 KiB of memory each.",
    )
    compression_level: int = _option(
        _DEFLATE.level,
        "--compression-level",
        "ECHO_COMPRESSION_LEVEL",
        click.IntRange(0, 3),
        "ISA-L compression level, 0 (fastest) to 3 (smallest).",
    )
    compression_min_size: int = _option(
        _DEFLATE.min_size,
        "--compression-min-size",
        "ECHO_COMPRESSION_MIN_SIZE",
        click.IntRange(0),
        "Minimum size of messages to compress, in bytes; shorter ones are sent as they are.",
    )
    subprotocols: tuple[str, ...] = _option(
        (),
        "--subprotocol",
        "ECHO_SUBPROTOCOL",
        SubprotocolParameter(),
        "Subprotocol to accept, repeatable; by default the client's first offer is chosen.",
        repeat=True,
    )
    allowed_origins: tuple[str, ...] = _option(
        (),
        "--allow-origin",
        "ECHO_ALLOW_ORIGIN",
        OriginParameter(),
        "Origin of other pages that may connect, repeatable; * allows all, null local files and "
        "sandboxed pages. The rest get a 403 that names the value to allow.",
        repeat=True,
    )
    trust_proxy: int = _option(
        0,
        "--trust-proxy",
        "ECHO_TRUST_PROXY",
        click.IntRange(0, _MOST_HOPS),
        "Number of proxies in front whose X-Forwarded-For, -Proto, -Host, -Port and -Prefix are "
        "trusted; 0 for none.",
    )
    redis_url: str = _option(
        "",
        "--redis-url",
        "ECHO_REDIS_URL",
        RedisURLParameter(),
        "Redis through which processes share connection records; each is kept for an hour.",
    )
    show_credentials: bool = _option(
        False,
        "--show-credentials",
        "ECHO_SHOW_CREDENTIALS",
        bool,
        "Show cookies, tokens and keys in the inspector's handshake report instead of hashes.",
    )
    quiet: bool = _option(
        False, "--quiet", "ECHO_QUIET", bool, "Do not print the messages received."
    )
    log_format: str = _option(
        "text",
        "--log-format",
        "ECHO_LOG_FORMAT",
        click.Choice(["text", "json"]),
        "Format of all logs: text for people, or json with one object per line.",
    )
    metrics: str = _option(
        "off",
        "--metrics",
        "ECHO_METRICS",
        click.Choice(["off", "on"]),
        "Metrics for Prometheus at /metrics; on shows them to anyone who can reach the port.",
    )

    @classmethod
    def from_context(cls, context: click.Context) -> Self:
        """The settings that a parsed command line and the environment say."""
        values = dict(context.params)
        default_host = context.get_parameter_source("host") == ParameterSource.DEFAULT
        # Hosting platforms set PORT, some of them HOST too, and expect to reach the service from
        # outside. HOST alone is something else: conda and tcsh keep the machine's name in it.
        if default_host and os.environ.get("PORT"):
            values["host"] = os.environ.get("HOST") or "0.0.0.0"  # noqa: S104
        return cls(**values)

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that the environment alone says. Raises click.UsageError."""
        command = add_options(click.Command("server"))
        return cls.from_context(command.make_context("server", []))

    def as_environment(self) -> dict[str, str]:
        """The environment that says the same; what is None or empty is left out."""
        values = {
            setting.metadata["environment"][0]: getattr(self, setting.name)
            for setting in fields(self)
        }
        return {
            name: " ".join(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
            if value not in {None, ()}
        }

    def certificate(self) -> Certificate | None:
        """What TLS needs; None for no TLS. Raises click.UsageError for files that do not serve."""
        if self.certfile is None:
            if self.keyfile is not None:
                raise click.UsageError("'--keyfile' needs '--certfile' (env var: 'ECHO_CERTFILE').")
            return None
        try:
            return Certificate(self.certfile, self.keyfile)
        except OSError as error:
            raise click.BadParameter(
                f"{self.certfile!r} cannot be used with its key: {error}.",
                param_hint="'--certfile' (env var: 'ECHO_CERTFILE')",
            ) from error

    def cannot_listen(self, error: OSError) -> click.ClickException:
        """The error of listening as one that names the option at fault."""
        reason = error.strerror or str(error)
        if isinstance(error, gaierror) or error.errno == errno.EADDRNOTAVAIL:
            return click.BadParameter(
                f"{self.host!r}: {reason}", param_hint="'--host' (env var: 'ECHO_HOST')"
            )
        return click.ClickException(
            f"cannot listen on '--port' (env vars: 'ECHO_PORT', 'PORT') {self.port}: {reason}"
        )

    def handshake_policy(self) -> HandshakePolicy:
        """What these settings mean for the opening handshake."""
        return HandshakePolicy(
            subprotocols=self.subprotocols or None,
            origins=(
                None
                if "*" in self.allowed_origins
                else tuple(read_origin(origin) for origin in self.allowed_origins)
            ),
            deflate=(
                None
                if self.compression == "off"
                else DeflatePolicy(
                    context_takeover=self.compression == "on",
                    level=self.compression_level,
                    min_size=self.compression_min_size,
                )
            ),
        )

    def limits(self) -> Limits:
        """What these settings let a peer take."""
        return Limits(**{limit.name: getattr(self, limit.name) for limit in fields(Limits)})


def options() -> Sequence[click.Option]:
    """The options of the command line, in the order of the fields."""
    return [_click_option(setting) for setting in fields(Settings)]


def add_options(command: click.Command) -> click.Command:
    """Give a command the options."""
    command.params.extend(options())
    return command


def _click_option(setting: Field[Any]) -> click.Option:
    metadata = setting.metadata
    return click.Option(
        [metadata["flag"], setting.name],
        default=setting.default,
        envvar=list(metadata["environment"]),
        type=metadata["type"],
        is_flag=metadata["type"] is bool,
        multiple=metadata["repeat"],
        help=metadata["help"],
        show_default=(
            "none" if setting.default is False or setting.default in {(), "", None} else True
        ),
        show_envvar=True,
    )
