"""The limit of open files: raised as far as it is needed, and never taken for more or less."""

import pytest

from echo.net import descriptors
from echo.net.descriptors import descriptor_limit

INFINITY = -1


class Resource:
    """The standard module, with limits of the test's own."""

    RLIMIT_NOFILE = 7
    RLIM_INFINITY = INFINITY

    def __init__(self, soft, hard, refusal=None):
        self.limits = (soft, hard)
        self._refusal = refusal

    def getrlimit(self, _):
        return self.limits

    def setrlimit(self, _, limits):
        if self._refusal is not None:
            raise self._refusal
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "wanted", "limits"),
    [
        (1024, 4096, 1000, (1024, 4096)),
        (1024, 4096, 2000, (2000, 4096)),
        (1024, 4096, 9000, (4096, 4096)),
        (1024, INFINITY, 9000, (9000, INFINITY)),
        (INFINITY, INFINITY, 9000, (INFINITY, INFINITY)),
        (64, 64, 9000, (64, 64)),
    ],
)
def test_it_is_raised_as_far_as_it_is_needed(monkeypatch, soft, hard, wanted, limits):
    system = Resource(soft, hard)
    monkeypatch.setattr(descriptors, "resource", system)
    found = descriptor_limit(wanted)
    assert system.limits == limits
    assert found == limits[0] or (limits[0] == INFINITY and found > 1_000_000)


@pytest.mark.parametrize("refusal", [ValueError("not allowed"), PermissionError(1, "no")])
def test_one_that_may_not_be_raised_stays(monkeypatch, refusal):
    monkeypatch.setattr(descriptors, "resource", Resource(256, INFINITY, refusal))
    assert descriptor_limit(9000) == 256


def test_without_limits_there_is_room(monkeypatch):
    monkeypatch.setattr(descriptors, "resource", None)
    assert descriptor_limit(9000) > 1_000_000
