"""Where a request goes: its target (RFC 9112, section 3.2) and its Host (RFC 9110, section 7.2)."""

import re
from typing import Final

from echo.protocol.errors import MalformedRequest
from echo.protocol.excerpts import quoted

#: What a Host may be.
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~%!$&'()*+;=]*)(?::[0-9]*)?")

#: RFC 9112, section 3.2.2: a target in absolute form. Clients of WebSockets name their own schemes.
_ABSOLUTE: Final = re.compile(r"(?:https?|wss?)://([^/?#]*)([/?].*)?", re.IGNORECASE)

#: What is wrong with a Host: the first of these that is found in it.
_HOST_FAULTS: Final = [
    (
        re.compile(r"\A\[?[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*%"),
        "an IPv6 address is written in brackets and without its zone id, as [fe80::1]",
    ),
    (
        re.compile(r"\A(?=.*::|(?:[^:]*:){7})[0-9A-Fa-f:.]+\Z"),
        "an IPv6 address needs brackets, as [::1]:8000",
    ),
    (re.compile(r"\A\[[^\]]*\Z"), "the closing bracket is missing"),
    (re.compile(r"\A[^\[]*\]"), "the opening bracket is missing"),
    (
        re.compile(r"\A\["),
        "an IPv6 address inside the brackets and a port behind them is all it has",
    ),
    (re.compile("@"), "leave out the user information, up to the '@'"),
    (re.compile("[/?#]"), "it is host[:port] alone, without a scheme and a path"),
    (re.compile("[ \t,]"), "it is one host"),
    (re.compile(":.*:"), "it has one port"),
    (re.compile(r"[^!-~]"), "names of other scripts are written in ASCII, as xn--..."),
    (re.compile(r":"), "its port has digits only"),
]

_OF_NO_HOST: Final = "it has a character that no host has"

#: What is wrong with a target, by what it looks like: the first of these that matches.
_TARGET_FAULTS: Final = [
    (re.compile("[^#]*#"), "leave out the fragment, from the '#' on, or write %23"),
    (re.compile("(?:https?|wss?):(?!//)", re.IGNORECASE), "two slashes follow the scheme"),
    (
        re.compile("[a-z][a-z0-9+.-]*://", re.IGNORECASE),
        "the schemes that are spoken here are http, https, ws and wss",
    ),
    (re.compile(r"\*"), "'*' is a target of OPTIONS"),
    (re.compile(r"[^/?]+:[0-9]+"), "this service is not a proxy"),
]

_NO_SLASH: Final = "it begins with a slash"


def check_host(host: str) -> None:
    """Raises MalformedRequest for a Host that is against the grammar."""
    if _HOST.fullmatch(host) is None:
        raise MalformedRequest(f"Host {quoted(host)} is not valid: {_host_fault(host)}")


def split_target(method: str, target: str) -> tuple[str | None, str]:
    """The host and port that a target names, and its path and query.

    Only a target in absolute form names a host. Raises MalformedRequest.
    """
    host, path = None, target
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        host, path = absolute[1], absolute[2] or "/"
        path = f"/{path}" if path.startswith("?") else path
        # RFC 9110, sections 4.2.1 and 4.2.4: an empty host is invalid, user information an error.
        if not host.partition(":")[0] or _HOST.fullmatch(host) is None:
            fault = _host_fault(host) if _HOST.fullmatch(host) is None else "its host is empty"
            raise MalformedRequest(f"target {quoted(target)} is not valid: {fault}")
    if "#" in path or not (path.startswith("/") or (path, method) == ("*", "OPTIONS")):
        fault = next((text for like, text in _TARGET_FAULTS if like.match(target)), _NO_SLASH)
        raise MalformedRequest(f"target {quoted(target)} is not valid: {fault}")
    return host, path


def _host_fault(host: str) -> str:
    """What is wrong with a Host, and the cure."""
    return next((text for like, text in _HOST_FAULTS if like.search(host)), _OF_NO_HOST)
