"""Every option of the service: its name, environment name, default, unit and bounds.

The fields of Settings are the only list of options. The command line, ``--help`` and the reading of
the environment are made from it, by click.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final, Self, TypeVar

import click
from click.core import ParameterSource

from echo.net.upgrade import UpgradePolicy
from echo.protocol.handshake import HandshakePolicy, Origin, is_token

_MEBIBYTE: Final = 1024 * 1024

#: The largest number that a frame's length can say (RFC 6455, section 5.2).
_MAX_LENGTH: Final = 2**63 - 1

Command = TypeVar("Command", bound=Callable[..., Any])


class _OriginParameter(click.ParamType[str]):
    """``*`` or an origin, which must be a whole one: a prefix would let in what nobody meant."""

    name = "ORIGIN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it back."""
        if value != "*":
            try:
                Origin.parse(value)
            except ValueError as error:
                self.fail(f"{error}, nor '*'.", param, ctx)
        return str(value)


class _SubprotocolParameter(click.ParamType[str]):
    """A token (RFC 6455, section 4.1, requirement 10)."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it back."""
        if not is_token(value):
            self.fail(f"{value!r} is not a token of HTTP.", param, ctx)
        return str(value)


def _option(
    default: Any, flag: str, environment: str, parameter: Any, text: str, *, repeat: bool = False
) -> Any:
    """A field of Settings and the option that sets it."""
    metadata = {
        "flag": flag,
        "environment": environment,
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
        "HOST",
        str,
        "Address to listen on; 0.0.0.0 by default where PORT is set in the environment.",
    )
    port: int = _option(
        8000, "--port", "PORT", click.IntRange(0, 65535), "TCP port to listen on; 0 for any free."
    )
    max_message_size: int = _option(
        16 * _MEBIBYTE,
        "--max-message-size",
        "ECHO_MAX_MESSAGE_SIZE",
        click.IntRange(1, _MAX_LENGTH),
        "The most that a message may have, in bytes; above, the connection is closed with 1009.",
    )
    subprotocols: tuple[str, ...] = _option(
        (),
        "--subprotocol",
        "ECHO_SUBPROTOCOL",
        _SubprotocolParameter(),
        "A subprotocol to choose from, repeatable; by default the client's first is chosen.",
        repeat=True,
    )
    allowed_origins: tuple[str, ...] = _option(
        (),
        "--allow-origin",
        "ECHO_ALLOW_ORIGIN",
        _OriginParameter(),
        "A foreign origin whose pages may connect, repeatable; * for all.",
        repeat=True,
    )
    quiet: bool = _option(
        False, "--quiet", "ECHO_QUIET", bool, "Do not print the messages that arrive."
    )

    @classmethod
    def from_context(cls, context: click.Context) -> Self:
        """The settings that a parsed command line and the environment say."""
        values = dict(context.params)
        # Hosting platforms set PORT and expect to reach the service from outside.
        default_host = context.get_parameter_source("host") == ParameterSource.DEFAULT
        if default_host and os.environ.get("PORT"):
            values["host"] = "0.0.0.0"  # noqa: S104
        return cls(**values)

    @classmethod
    def from_environment(cls) -> Self:
        """The settings that the environment alone says. Raises click.UsageError."""
        command = add_options(click.Command("server"))
        return cls.from_context(command.make_context("server", []))

    def upgrade_policy(self) -> UpgradePolicy:
        """What these settings mean for the upgrade."""
        return UpgradePolicy(
            HandshakePolicy(
                subprotocols=self.subprotocols or None,
                origins=(
                    None
                    if "*" in self.allowed_origins
                    else tuple(Origin.parse(origin) for origin in self.allowed_origins)
                ),
            ),
            max_message_size=self.max_message_size,
        )


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
        envvar=metadata["environment"],
        type=metadata["type"],
        is_flag=metadata["type"] is bool,
        multiple=metadata["repeat"],
        help=metadata["help"],
        show_default=True,
        show_envvar=True,
    )
