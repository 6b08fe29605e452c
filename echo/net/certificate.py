"""The server's certificate, which can be read anew while the server runs."""

import ssl
from typing import Final

#: The protocol that a client may ask for by ALPN: there is no HTTP/2 here.
_ALPN: Final = ["http/1.1"]


class Certificate:
    """A certificate with its key, and what TLS connections are made of.

    Attributes:
        context: for connections that begin now; those that are open keep theirs.
    """

    def __init__(self, certfile: str, keyfile: str | None = None) -> None:
        """Read the files in PEM: the certificate with its chain, and the key, which without a
        ``keyfile`` is in the ``certfile`` too. Raises OSError.
        """
        self._files = (certfile, keyfile)
        self.context = self._load()

    def reload(self) -> None:
        """Read the files again. Raises OSError; then everything stays as it was."""
        self.context = self._load()

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(_ALPN)
        # A key with a passphrase would ask for it at the terminal.
        context.load_cert_chain(*self._files, password="")
        return context
