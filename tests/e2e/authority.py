"""Certificates for the tests, by trustme."""

import ssl

import trustme


class Authority:
    """A certificate authority of the tests, and a file with a certificate for this machine.

    Attributes:
        certfile: the certificate with its key.
        context: the ssl.SSLContext of clients that trust the authority, and it alone.
        options: the server's options for TLS.
    """

    def __init__(self, folder):
        self._authority = trustme.CA()
        self.certfile = folder / "certificate.pem"
        self.context = self.new_context()
        self.options = ("--certfile", str(self.certfile))
        self.issue()

    def new_context(self):
        """Another context of that kind, for a test to change."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(context)
        return context

    def issue(self):
        """Write a new certificate into the file; returns it as DER."""
        certificate = self._authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.certfile)
        return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
