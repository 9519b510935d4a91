import threading

import pytest

from dynface_video.deferred import THREAD_NAME, Deferred


class Loading:
    """Counts what it is asked for, and waits where it is told to."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors, self.threads, self.go = list(errors), list[str](), threading.Event()
        self.go.set()

    def __call__(self) -> list[str]:
        self.threads.append(threading.current_thread().name)
        assert self.go.wait(5)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return ["loaded"]


def test_a_value_is_loaded_once_and_when_it_is_asked_for() -> None:
    loading = Loading()
    value = Deferred(loading)
    assert not loading.threads and not value.loaded
    assert value.get() is value.get() and value.loaded
    value.start()
    assert loading.threads == [threading.current_thread().name]


def test_a_value_that_is_loaded_ahead_is_waited_for() -> None:
    loading = Loading()
    loading.go.clear()
    value = Deferred(loading)
    value.start()
    value.start()
    threading.Timer(0.05, loading.go.set).start()
    assert value.get() == ["loaded"] and loading.threads == [THREAD_NAME]


def test_an_error_of_the_thread_is_raised_where_the_value_is_asked_for() -> None:
    value = Deferred(Loading(ValueError("ahead"), ValueError("asked for")))
    value.start()
    assert value._thread is not None
    value._thread.join(5)
    with pytest.raises(ValueError, match="asked for"):
        value.get()
    assert value.get() == ["loaded"]
