"""One computation at a time, client after client; long ones let others in; who leaves costs nothing; who comes too late is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from trgbp_core.serving.jobs import Cancelled
from trgbp_core.serving.queue import TIDIED, Busy, Queue, asker, request
from trgbp_core.serving.workers import Workers

WAIT = 20  # seconds; when to give up on a busy machine


def queued(queue: Queue, count: int) -> None:
    """Return once ``count`` wait."""
    pause = threading.Event()
    for _ in range(WAIT * 100):
        if queue.waiting == count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{queue.waiting} wait, not {count}")


class Asking:
    """Threads that ask one after the other, behind a computation that lasts until all may go on."""

    def __init__(self, queue: Queue, *, held: bool = True) -> None:
        self.queue, self.threads = queue, list[threading.Thread]()
        self._release, began = threading.Event(), threading.Event()
        if held:
            self._start(lambda: queue.run(lambda _: (began.set(), self._release.wait(WAIT))))
            assert began.wait(WAIT)

    def ask(self, compute: Callable[[], object], *, client: str = "", **options: Any) -> None:
        """Return once it waits."""
        waiting = self.queue.waiting

        def run() -> None:
            asker.set(client)  # a thread begins with a context of its own
            self.queue.run(lambda _: compute(), **options)

        self._start(run)
        queued(self.queue, waiting + 1)

    def end(self) -> None:
        self._release.set()
        for thread in self.threads:
            thread.join(WAIT)

    def _start(self, call: Callable[[], object]) -> None:
        self.threads.append(threading.Thread(target=call, daemon=True))
        self.threads[-1].start()


def order(asked: list[tuple[str, str, bool]]) -> list[str]:
    """In which order (name, client, whether it is short) are served that ask one after the other."""
    asking, served, running = Asking(Queue()), list[str](), set[str]()

    def compute(name: str) -> None:
        running.add(name)
        assert len(running) == 1
        served.append(name)
        running.discard(name)

    for name, client, short in asked:
        asking.ask(lambda name=name: compute(name), client=client, short=short)
    asking.end()
    return served


def test_one_clients_turns_are_taken_one_at_a_time_in_the_order_of_asking() -> None:
    assert order([(f"{i}", "a", False) for i in range(8)]) == [f"{i}" for i in range(8)]


def test_clients_take_turns_however_much_one_of_them_asks_for() -> None:
    asked = [(name, name[0], False) for name in ("a1", "a2", "a3", "b1", "c1", "b2")]
    assert order(asked) == ["a1", "b1", "c1", "a2", "b2", "a3"]


@pytest.mark.parametrize(("patience", "expected"), [(3.0, ["short", "long", "other"]), (0.0, ["long", "short", "other"])])
def test_a_short_computation_overtakes_long_ones_but_not_those_that_have_waited_long(
    patience: float, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trgbp_core.serving.queue.PATIENCE_SECONDS", patience)
    assert order([(name, name, name == "short") for name in ("long", "short", "other")]) == expected


def test_who_computes_while_others_wait_leaves_them_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trgbp_core.serving.queue.WORKERS", Workers(lambda _: 3))
    monkeypatch.setattr("trgbp_core.serving.queue.LEAVING_ONE", Workers(lambda _: 2))
    asking, found = Asking(Queue()), list[int]()
    for _ in range(2):
        asking.ask(lambda: found.append(torch.get_num_threads()))
    asking.end()
    assert found == [2, 3]


@pytest.mark.parametrize(
    ("little", "requests", "expected"),
    [
        (1.0, ["one", "one"], ["p1", "a", "p2", "b"]),
        (0.0, ["one", "one"], ["p1", "a", "b", "p2"]),
        (1.0, ["one", "another"], ["p1", "a", "b", "p2"]),
    ],
)
def test_a_request_in_pieces_keeps_its_place_until_it_has_used_its_share(
    little: float, requests: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trgbp_core.serving.queue.LITTLE_SECONDS", little)
    queue, served = Queue(), list[str]()
    asking = Asking(queue, held=False)

    def first() -> None:
        asking.ask(lambda: (served.append("a"), queued(queue, 2)), client="a")
        asking.ask(lambda: served.append("b"), client="b")
        served.append("p1")

    def pieces() -> None:
        asker.set("pieces")
        for name, compute in zip(requests, (first, lambda: served.append("p2")), strict=True):
            request.set(name)
            queue.run(lambda _, compute=compute: compute())

    thread = threading.Thread(target=pieces)
    thread.start()
    thread.join(WAIT)
    asking.end()
    assert served == expected


def test_a_long_computation_lets_those_who_wait_in_between_its_steps() -> None:
    queue, served = Queue(seconds=0.0), list[str]()
    asking = Asking(queue, held=False)

    def long(between: Callable[[str, float], None]) -> None:
        asking.ask(lambda: served.append("short"))
        served.append("long begins")
        between("computing", 0.5)
        served.append("long ends")
        assert queue.waited > 0

    queue.run(long)
    asking.end()
    assert served == ["long begins", "short", "long ends"]


def test_what_is_last_waits_for_all_others_also_between_its_steps_and_fills_half_of_the_queue_at_most() -> None:
    queue, served = Queue(most=4), list[str]()
    asking = Asking(queue)
    asking.ask(lambda: served.append("frame"), client="a", last=True)
    asking.ask(lambda: served.append("long"), client="b")
    with pytest.raises(Busy):
        queue.run(lambda _: None, last=True)
    asking.ask(lambda: served.append("short"), client="a", short=True)
    asking.end()
    assert served == ["short", "long", "frame"]

    def frame(between: Callable[[str, float], None]) -> None:
        asking.ask(lambda: served.append("question"))
        between("computing", 0.5)
        served.append("end of the frame")

    queue.run(frame, last=True)
    asking.end()
    assert served[3:] == ["question", "end of the frame"]


def test_who_leaves_while_waiting_never_computes_and_holds_nobody_up() -> None:
    queue, gone, served, left = Queue(), threading.Event(), list[str](), threading.Event()
    asking = Asking(queue)

    def step(what: str, share: float) -> None:
        if gone.is_set():
            left.set()
            raise Cancelled("gone")

    def leaving() -> None:
        with pytest.raises(Cancelled):
            queue.run(lambda _: served.append("gone"), step)

    asking._start(leaving)
    queued(queue, 1)
    asking.ask(lambda: served.append("stays"))
    gone.set()
    assert left.wait(WAIT)
    queued(queue, 1)
    asking.end()
    assert served == ["stays"]


def test_a_full_queue_says_how_many_wait() -> None:
    queue = Queue(most=2)
    asking = Asking(queue)
    for _ in range(2):
        asking.ask(lambda: None)
    with pytest.raises(Busy, match="2 others wait"):
        queue.run(lambda _: None)
    asking.end()
    assert queue.run(lambda _: "again") == "again"


def test_who_waits_is_told_how_many_are_before_him() -> None:
    told, heard = list[str](), threading.Event()

    def step(what: str, share: float) -> None:
        if what:
            told.append(what)
            heard.set()

    asking = Asking(Queue())
    asking.ask(lambda: None, step=step)
    assert heard.wait(WAIT)
    asking.end()
    assert told[0] == "waiting, 1 other task comes first"


def test_an_error_reaches_the_asker_and_frees_the_turn_and_a_turn_within_a_turn_is_the_same() -> None:
    queue = Queue()
    with pytest.raises(ZeroDivisionError):
        queue.run(lambda _: 1 // 0)
    assert queue.run(lambda _: queue.run(lambda _: 7)) == 7
    assert queue.waiting == 0


def test_it_is_tidied_up_now_and_then_and_not_within_a_turn() -> None:
    tidied = threading.Semaphore(0)
    queue = Queue(tidy=tidied.release)
    for _ in range(TIDIED):
        queue.run(lambda _: queue.run(lambda _: 7))
    assert tidied.acquire(timeout=WAIT)
    assert not tidied.acquire(blocking=False)
