"""Real servers for the end-to-end tests."""

from contextlib import ExitStack, contextmanager, nullcontext

import pytest

from tests.e2e.authority import Authority
from tests.e2e.browser import browser, complaints, module_page, page  # noqa: F401
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
    with server_factory() as start:
        with untraced():
            server = start()
        yield server


@pytest.fixture
def echo_server(shared_server):
    """A running ServerProcess with the default options, shared by tests that leave it as it is."""
    yield shared_server
    shared_server.check()


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
