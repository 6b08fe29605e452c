"""Real servers for the end-to-end tests."""

from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.authority import Authority
from tests.e2e.browser import browser, complaints, module_page, page  # noqa: F401
from tests.e2e.programs import Nginx
from tests.e2e.server_process import ServerProcess


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
    with server_factory() as start:
        yield start()


@pytest.fixture
def echo_server(shared_server):
    """A running ServerProcess with the default options, shared by tests that leave it as it is."""
    yield shared_server
    shared_server.check()


@pytest.fixture
def nginx_with(tmp_path):
    """A function that starts nginx in front of a server, see Nginx.in_front_of."""
    with ExitStack() as stack:

        def start(server, lines, **changes):
            return stack.enter_context(Nginx.in_front_of(server, tmp_path, lines, **changes))

        yield start


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
