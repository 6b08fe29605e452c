"""The types of options that click does not bring: what a value may be, and what it becomes."""

from math import isnan
from pathlib import Path
from typing import Any

import click

from echo.protocol.handshake import is_token
from echo.protocol.origins import check_allowable


class HostParameter(click.ParamType[str]):
    """An address or a name; an empty one would mean all addresses, which nobody asked for."""

    name = "ADDRESS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it back."""
        if not value.strip():
            self.fail("an address is needed.", param, ctx)
        return str(value)


class OriginParameter(click.ParamType[str]):
    """``*`` or one Origin, as clients send it: patterns and lists would let in nobody."""

    name = "ORIGIN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it back."""
        if value != "*":
            try:
                check_allowable(value)
            except ValueError as error:
                self.fail(f"{error}.", param, ctx)
        return str(value)


class SubprotocolParameter(click.ParamType[str]):
    """A token (RFC 6455, section 4.1, requirement 10)."""

    name = "NAME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it back."""
        if not is_token(value):
            self.fail(f"{value!r} is not a token of HTTP.", param, ctx)
        return str(value)


class RedisURLParameter(click.ParamType[str]):
    """Where a Redis is; an empty one means none."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it back. It may hold a password, so no error shows it."""
        try:
            if value:
                from echo.redis_records import check_redis_url  # noqa: PLC0415

                check_redis_url(value)
        except ValueError:
            self.fail("this is not redis://[[user]:password@]host[:port][/database].", param, ctx)
        return str(value)


class Seconds(click.FloatRange):
    """A time. Unlike click's own range it has no place for what is not a number."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Check the value and give it as a number."""
        seconds = float(super().convert(value, param, ctx))
        if isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


class FileParameter(click.Path):
    """A file that can be read; from here on it is found from any folder."""

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False, readable=True)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the value and give it as an absolute path."""
        return str(Path(str(super().convert(value, param, ctx))).absolute())
