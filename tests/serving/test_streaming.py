"""Long work is told step by step, and ends when nobody listens."""

import threading

import pytest

from trgbp_core.serving.cache import Cache
from trgbp_core.serving.jobs import Cancelled
from trgbp_core.serving.stopping import Stops
from trgbp_core.serving.streaming import Progress, streamed


def test_results_and_progress_arrive_in_order():
    def work(step):
        for i in range(3):
            step("counting", i / 3)
            yield i

    events = list(streamed(work))
    assert [event for event in events if not isinstance(event, Progress)] == [0, 1, 2]
    assert Progress("counting", 0.0) in events


def test_an_error_arrives_where_it_is_waited_for():
    def work(step):
        yield 1
        raise ValueError("no more")

    events = streamed(work)
    assert next(events) == 1
    with pytest.raises(ValueError, match="no more"):
        next(events)


def test_closing_the_stream_stops_the_work_within_a_step():
    stopped, began = threading.Event(), threading.Event()

    def work(step):
        yield 0
        try:
            while True:
                step("for ever", 0.5)
                began.set()
        except Cancelled:
            stopped.set()
            raise

    events = streamed(work)
    assert next(events) == 0
    assert began.wait(10)
    events.close()
    assert stopped.wait(10)


def test_who_waits_takes_over_from_whoever_gave_up():
    cache: Cache[int] = Cache(100, lambda value: 1)
    began, give_up = threading.Event(), threading.Event()
    answers = []

    def gives_up():
        began.set()
        give_up.wait(10)
        raise Cancelled("Stopped.")

    def first():
        with pytest.raises(Cancelled):
            cache.get("key", gives_up)

    threads = [threading.Thread(target=first), threading.Thread(target=lambda: answers.append(cache.get("key", lambda: 7)))]
    threads[0].start()
    assert began.wait(10)
    threads[1].start()
    give_up.set()
    for thread in threads:
        thread.join(10)
    assert answers == [7]


def test_what_a_visitor_stops_ends_with_the_last_word_and_nobody_elses_does():
    stops, closed = Stops(), []

    def answers(name):
        try:
            yield from range(1, 4)
        finally:
            closed.append(name)

    stops.begin("ann")
    anns, bobs = stops.until("ann", answers("ann"), "Stopped."), stops.until("bob", answers("bob"), "Stopped.")
    assert (next(anns), next(bobs)) == (1, 1)
    stops.begin("ann")  # a second click while the work runs
    stops.stop("ann")
    stops.stop("nobody")
    assert list(anns) == ["Stopped."]
    assert closed == ["ann"]
    assert list(bobs) == [2, 3]
    stops.begin("ann")
    stops.stop("ann")  # before its turn has come
    assert list(stops.until("ann", answers("ann"), "Stopped.")) == ["Stopped."]
    stops.stop("ann")  # nothing runs: the next work is not stopped
    assert list(stops.until("ann", answers("ann"), "Stopped.")) == [1, 2, 3]
