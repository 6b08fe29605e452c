"""The grammar of RFC 9110 that several header fields share. A leaf, as rfc6455.py."""

from typing import Final

#: A token (section 5.6.2), as a regular expression.
TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # noqa: S105  # no password

#: What may surround the parts of a field (section 5.6.3). ``str.strip`` alone would take other
#: characters too, which another reader of the same head does not.
OWS: Final = " \t"
