"""An application that is made when somebody first asks for it."""

from threading import get_ident

import gevent
import pytest
from gevent.threadpool import ThreadPool

from echo.on_demand import OnDemand


def answer(environ, start_response):
    return [environ]


def test_it_is_made_once_for_all_who_ask_meanwhile():
    threads = []

    def make():
        threads.append(get_ident())
        return answer

    application = OnDemand(make)
    assert threads == []
    asking = [gevent.spawn(application, number, None) for number in range(3)]
    gevent.joinall(asking, raise_error=True)
    assert [greenlet.value for greenlet in asking] == [[0], [1], [2]]
    assert len(threads) == 1
    assert threads[0] != get_ident(), "who does not ask would have to wait"


def test_what_could_not_be_made_is_tried_again(capsys):
    attempts = iter([MemoryError("not now"), answer])

    def make():
        outcome = next(attempts)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    application = OnDemand(make)
    with pytest.raises(MemoryError, match="not now"):
        application("first", None)
    assert capsys.readouterr() == ("", "")  # whoever asked logs it, and nobody else
    assert application("second", None) == ["second"]


def test_without_a_thread_it_is_made_all_the_same(monkeypatch):
    def no_thread(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPool, "spawn", no_thread)
    assert OnDemand(lambda: answer)("asked", None) == ["asked"]
