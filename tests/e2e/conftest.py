"""Real servers for the end-to-end tests."""

import ssl
from contextlib import ExitStack, contextmanager, nullcontext

import pytest
import trustme

from tests.e2e.browser import browser, complaints, page  # noqa: F401
from tests.e2e.server_process import ServerProcess


@contextmanager
def untraced():
    """What is started meanwhile is not traced for coverage, which would multiply its work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """The servers of a test that is marked no_cover are not traced either."""
    with untraced() if item.get_closest_marker("no_cover") else nullcontext():
        return (yield)


@contextmanager
def server_factory():
    """A function that starts servers; in the end each is stopped and must have been in order."""
    with ExitStack() as stack:

        def start(*options, **how):
            server = ServerProcess(*options, **how)
            stack.callback(server.finish)
            server.start()
            return server

        yield start


@pytest.fixture
def start_server():
    """``start_server(*options, **how)``: a running ServerProcess, which takes the same."""
    with server_factory() as start:
        yield start


@pytest.fixture
def server(start_server):
    """A running ServerProcess with the default options, for one test alone."""
    return start_server()


@pytest.fixture(scope="module")
def module_servers():
    """``start_server`` for servers that the tests of a file share."""
    with server_factory() as start:
        yield start


@pytest.fixture(scope="session")
def shared_server():
    """The server behind ``echo_server``."""
    with untraced(), server_factory() as start:
        yield start()


@pytest.fixture
def echo_server(shared_server):
    """A running ServerProcess with the default options, shared by tests that leave it as it is."""
    yield shared_server
    shared_server.check()


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
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._authority.configure_trust(self.context)
        self.options = ("--certfile", str(self.certfile))
        self.issue()

    def issue(self):
        """Write a new certificate into the file; returns it as DER."""
        certificate = self._authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.certfile)
        return ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())


@pytest.fixture
def authority(tmp_path):
    """An Authority of this test."""
    return Authority(tmp_path)


@pytest.fixture
def start_tls(start_server, authority):
    """``start_tls(*options)``: a ServerProcess that speaks TLS."""

    def start(*options):
        return start_server(*authority.options, *options, tls=authority.context)

    return start
