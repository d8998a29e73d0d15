"""Work is done once for all who wait for it, tells how far it is, and ends when nobody listens; what is kept of it stays in bounds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from trgbp_core.serving.jobs import Cache, Cancelled, Job, Jobs, Step, Streams, Update, streamed
from trgbp_core.serving.stops import Stops

WAIT = 20  # seconds; when to give up on a busy machine


def together(count: int, call: Callable[[], object]) -> list[threading.Thread]:
    threads = [threading.Thread(target=call, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def test_results_and_progress_arrive_in_order() -> None:
    heard = threading.Event()

    def work(step: Step) -> Iterator[int]:
        yield 0
        step("counting", 0.5)
        assert heard.wait(WAIT)
        yield from (1, 2)

    events = list[object]()
    for event in streamed(work):
        events.append(event)
        if event == Update("counting", 0.5):
            heard.set()
    assert [event for event in events if not isinstance(event, Update)] == [0, 1, 2]
    assert events.index(0) < events.index(Update("counting", 0.5)) < events.index(1)


def test_an_error_arrives_where_it_is_waited_for() -> None:
    def work(step: Step) -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    events = streamed(work)
    assert next(event for event in events if not isinstance(event, Update)) == 1
    with pytest.raises(ValueError, match="no more"):
        list(events)


def test_closing_the_stream_stops_the_work_within_a_step() -> None:
    stopped = threading.Event()

    def work(step: Step) -> Iterator[int]:
        yield 0
        try:
            while True:
                step("for ever", 0.5)
        except Cancelled:
            stopped.set()
            raise

    events = streamed(work)
    assert Update("for ever", 0.5) in events
    events.close()  # type: ignore[attr-defined]
    assert stopped.wait(WAIT)


def test_the_work_goes_on_for_whoever_stays_and_ends_when_the_last_one_leaves() -> None:
    jobs, release = Jobs[int](), threading.Event()
    leave = [threading.Event(), threading.Event()]
    began, results, runs = threading.Semaphore(0), list[object](), list[Job[int]]()

    def work(job: Job[int]) -> int:
        runs.append(job)
        job.report(1, 2)
        assert release.wait(WAIT)
        job.report("", 0)
        return 7

    def ask(cancel: threading.Event) -> None:
        try:
            results.append(jobs.join("key", work, progress=lambda *_: began.release(), cancel=cancel.is_set))
        except Cancelled:
            results.append("left")

    for count in range(2):
        first, second = together(1, lambda: ask(leave[0])), together(1, lambda: ask(leave[1]))
        assert all(began.acquire(timeout=WAIT) for _ in range(2))
        leave[0].set()
        ended(first)
        assert not runs[-1].abandoned.is_set()
        if count:
            leave[1].set()
            ended(second)
            assert runs[-1].abandoned.is_set()
        release.set()
        ended(second)
        leave[0].clear()
        release.clear()
    assert results == ["left", 7, "left", "left"]
    assert len(runs) == 2


def test_a_stream_is_run_once_for_all_who_follow_it_from_its_first_result_and_ends_when_all_have_left() -> None:
    streams, further, stopped = Streams[int](), threading.Event(), threading.Event()
    runs = list[int]()

    def work(step: Step) -> Iterator[int]:
        runs.append(1)
        yield 0
        assert further.wait(WAIT)
        yield 1
        try:
            while True:
                step("for ever", 0.5)
        except Cancelled:
            stopped.set()
            raise

    told = list[str]()
    first, second = (streams.follow("key", work, lambda what, share: told.append(what)) for _ in range(2))
    assert next(first) == next(second) == 0
    first.close()  # type: ignore[attr-defined]
    further.set()
    assert next(second) == 1
    assert not stopped.is_set()
    second.close()  # type: ignore[attr-defined]
    assert stopped.wait(WAIT)
    assert runs == [1]
    assert next(streams.follow("key", work)) == 0
    assert runs == [1, 1], "who asks after all have left begins anew"


def test_the_cache_computes_once_for_many_who_ask_together_and_stays_in_bounds() -> None:
    cache, release = Cache[bytes](250, len), threading.Event()
    runs, asked = list[int](), threading.Semaphore(0)

    def work(job: Job[bytes]) -> bytes:
        runs.append(1)
        job.report("computing", 0.5)
        assert release.wait(WAIT)
        return b"x" * 100

    threads = together(8, lambda: cache.get("a", work, progress=lambda *_: asked.release()))
    assert all(asked.acquire(timeout=WAIT) for _ in threads)
    release.set()
    ended(threads)
    assert len(runs) == 1
    for key in "bcd":
        cache.get(key, lambda job: b"y" * 100)
    assert (cache.keys, cache.bytes) == (("c", "d"), 200)
    cache.get("a", work)
    assert len(runs) == 2
    assert len(cache.get("large", lambda job: b"z" * 1000)) == 1000
    assert cache.keys == ("d", "a")
    newest = Cache[bytes](250, len, newest=True)
    for key in ("small", "large"):
        newest.get(key, lambda job: b"z" * 1000)
    assert newest.keys == ("large",)


def test_an_error_in_the_cache_reaches_the_asker_and_is_not_kept() -> None:
    cache: Cache[bytes] = Cache(100, len)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda job: bytes(1 // 0))
    assert cache.get("a", lambda job: b"ok") == b"ok"


def test_what_a_visitor_stops_ends_with_the_last_word_and_nobody_elses_does() -> None:
    stops, closed = Stops(), list[str]()

    def answers(name: str) -> Iterator[object]:
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


def test_a_visitors_newer_run_takes_the_place_of_the_one_before_and_can_be_stopped() -> None:
    stops = Stops()
    older, newer = (stops.until("ann", (i for i in range(start, start + 3)), -1) for start in (0, 10))
    assert (next(older), next(newer)) == (0, 10)
    assert list(older) == [], "closed without a word: the newer one speaks"
    stops.stop("ann")
    assert list(newer) == [-1]
