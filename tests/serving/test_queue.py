"""One computation at a time, client after client; long ones let others in; who leaves costs nothing; who comes too late is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch

from trgbp_core.serving.jobs import Cancelled
from trgbp_core.serving.queue import TIDIED, Busy, Turns, asker, request
from trgbp_core.serving.workers import Workers

WAIT = 20  # seconds; when to give up on a busy machine


def started(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


class Held:
    """A turn that is being used until it is released."""

    def __init__(self, turns: Turns) -> None:
        self.release, began = threading.Event(), threading.Event()
        self.thread = started(lambda: turns.run(lambda _: (began.set(), self.release.wait(WAIT))))
        assert began.wait(WAIT)

    def end(self) -> None:
        self.release.set()
        self.thread.join(WAIT)


def queued(turns: Turns, count: int) -> None:
    """Return once ``count`` wait."""
    pause = threading.Event()
    for _ in range(WAIT * 100):
        if turns.waiting == count:
            return
        pause.wait(0.01)
    raise AssertionError(f"{turns.waiting} wait, not {count}")


def test_one_clients_turns_are_taken_one_at_a_time_in_the_order_of_asking() -> None:
    turns, order, at_once = Turns(), list[int](), list[int]()
    held, running = Held(turns), set[int]()

    def compute(i: int) -> None:
        running.add(i)
        at_once.append(len(running))
        order.append(i)
        running.discard(i)

    threads = []
    for i in range(8):
        threads.append(started(lambda i=i: turns.run(lambda _: compute(i))))
        queued(turns, i + 1)
    held.end()
    for thread in threads:
        thread.join(WAIT)
    assert order == list(range(8))
    assert set(at_once) == {1}


def test_who_computes_while_others_wait_leaves_them_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trgbp_core.serving.queue.WORKERS", Workers(lambda _: 3))
    monkeypatch.setattr("trgbp_core.serving.queue.LEAVING_ONE", Workers(lambda _: 2))
    turns, found = Turns(), list[int]()
    held, threads = Held(turns), []
    for count in (1, 2):
        threads.append(started(lambda: turns.run(lambda _: found.append(torch.get_num_threads()))))
        queued(turns, count)
    held.end()
    for thread in threads:
        thread.join(WAIT)
    assert found == [2, 3]


def test_clients_take_turns_however_much_one_of_them_asks_for() -> None:
    turns, order = Turns(), list[str]()
    held, threads = Held(turns), []

    def ask(client: str, name: str) -> None:
        asker.set(client)  # a thread begins with a context of its own
        turns.run(lambda _: order.append(name))

    for count, (client, name) in enumerate([("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("c", "c1"), ("b", "b2")], 1):
        threads.append(started(lambda client=client, name=name: ask(client, name)))
        queued(turns, count)
    held.end()
    for thread in threads:
        thread.join(WAIT)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def asked_in_turn(turns: Turns, asked: list[tuple[str, bool]]) -> list[str]:
    """In which order clients (name, whether it is short) are served that come one after the other while a turn is held."""
    held, threads, order = Held(turns), [], list[str]()

    def ask(client: str, short: bool) -> None:
        asker.set(client)
        turns.run(lambda _: order.append(client), short=short)

    for count, (client, short) in enumerate(asked, 1):
        threads.append(started(lambda client=client, short=short: ask(client, short)))
        queued(turns, count)
    held.end()
    for thread in threads:
        thread.join(WAIT)
    return order


def test_a_short_computation_overtakes_long_ones_but_not_those_that_have_waited_long(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked_in_turn(Turns(), [("long", False), ("short", True), ("other", False)]) == ["short", "long", "other"]
    monkeypatch.setattr("trgbp_core.serving.queue.PATIENCE_SECONDS", 0.0)
    assert asked_in_turn(Turns(), [("long", False), ("short", True), ("other", False)]) == ["long", "short", "other"]


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
    turns, order, others = Turns(), list[str](), list[threading.Thread]()

    def ask(client: str) -> None:
        asker.set(client)
        turns.run(lambda _: (order.append(client), len(order) == 2 and queued(turns, 2)))

    def first(_: object) -> None:
        for count, client in enumerate("ab", 1):
            others.append(started(lambda client=client: ask(client)))
            queued(turns, count)
        order.append("p1")

    def pieces() -> None:
        asker.set("pieces")
        request.set(requests[0])
        turns.run(first)
        request.set(requests[1])
        turns.run(lambda _: order.append("p2"))

    started(pieces).join(WAIT)
    for other in others:
        other.join(WAIT)
    assert order == expected


def test_a_long_computation_lets_those_who_wait_in_between_its_steps() -> None:
    turns, order = Turns(seconds=0.0), list[str]()

    def long(between: Callable[[str, float], None]) -> None:
        other = started(lambda: turns.run(lambda _: order.append("short")))
        queued(turns, 1)
        order.append("long begins")
        between("computing", 0.5)
        order.append("long ends")
        assert turns.waited > 0
        other.join(WAIT)

    turns.run(long)
    assert order == ["long begins", "short", "long ends"]


def test_who_leaves_while_waiting_never_computes_and_holds_nobody_up() -> None:
    turns, gone, computed = Turns(), threading.Event(), list[str]()
    held = Held(turns)

    def step(what: str, share: float) -> None:
        if gone.is_set():
            raise Cancelled("gone")

    def leaving() -> None:
        with pytest.raises(Cancelled):
            turns.run(lambda _: computed.append("gone"), step)

    first = started(leaving)
    queued(turns, 1)
    second = started(lambda: turns.run(lambda _: computed.append("stays")))
    queued(turns, 2)
    gone.set()
    first.join(WAIT)
    assert turns.waiting == 1
    held.end()
    second.join(WAIT)
    assert computed == ["stays"]


def test_a_full_queue_says_how_many_wait() -> None:
    turns = Turns(most=2)
    held = Held(turns)
    waiting = []
    for i in range(2):
        waiting.append(started(lambda: turns.run(lambda _: None)))
        queued(turns, i + 1)
    with pytest.raises(Busy, match="2 others wait"):
        turns.run(lambda _: None)
    held.end()
    for thread in waiting:
        thread.join(WAIT)
    assert turns.run(lambda _: "again") == "again"


def test_who_waits_is_told_how_many_are_before_him() -> None:
    turns, told = Turns(), list[str]()
    heard = threading.Event()

    def step(what: str, share: float) -> None:
        if what:
            told.append(what)
            heard.set()

    held = Held(turns)
    thread = started(lambda: turns.run(lambda _: None, step))
    assert heard.wait(WAIT)
    held.end()
    thread.join(WAIT)
    assert told[0] == "waiting, 1 before it"


def test_an_error_reaches_the_asker_and_frees_the_turn_and_a_turn_within_a_turn_is_the_same() -> None:
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        turns.run(lambda _: 1 // 0)
    assert turns.run(lambda _: turns.run(lambda _: 7)) == 7
    assert turns.waiting == 0


def test_it_is_tidied_up_now_and_then_and_not_within_a_turn() -> None:
    tidied = threading.Semaphore(0)
    turns = Turns(tidy=tidied.release)
    for _ in range(TIDIED - 1):
        turns.run(lambda _: turns.run(lambda _: 7))
    assert not tidied.acquire(timeout=0.3)
    turns.run(lambda _: 7)
    assert tidied.acquire(timeout=WAIT)
    assert not tidied.acquire(blocking=False)
