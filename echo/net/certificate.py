"""The server's certificate, which can be read anew while the server runs."""

import ssl
from pathlib import Path
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
        self._state: tuple[object, ...] = ()
        self.context: ssl.SSLContext
        self.refresh()

    def refresh(self) -> bool:
        """Read the files if they have changed, and say whether they have.

        Raises OSError for files that do not serve; then everything stays as it was.
        """
        # A context has the keys of its session tickets: it is kept as long as it can be.
        stats = [Path(file).stat() for file in self._files if file is not None]
        state = tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)
        if state == self._state:
            return False
        self.context = self._load()
        self._state = state
        return True

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        context.set_alpn_protocols(_ALPN)
        # A key with a passphrase would ask for it at the terminal.
        context.load_cert_chain(*self._files, password="")
        return context
