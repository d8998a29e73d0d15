"""One thread computes, again and again; what overlaps has its own, which ends; those who ask keep no helpers of OpenMP's."""

from __future__ import annotations

import contextvars
import gc
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import pytest
import torch

from trgbp_core.engine.devices import threads_of
from trgbp_core.serving.workers import Workers

WAIT = 20


def test_one_thread_computes_again_and_again_and_it_is_not_the_askers() -> None:
    workers = Workers()
    found = {workers.run(threading.get_ident) for _ in range(5)}
    assert len(found) == 1
    assert found != {threading.get_ident()}


def test_what_overlaps_has_a_thread_of_its_own_that_ends() -> None:
    workers, began, release = Workers(), threading.Event(), threading.Event()
    kept = workers.run(threading.current_thread)

    def hold() -> threading.Thread:
        began.set()
        release.wait(WAIT)
        return threading.current_thread()

    asker = threading.Thread(target=lambda: workers.run(hold))
    asker.start()
    assert began.wait(WAIT)
    beside = workers.run(threading.current_thread)
    assert beside is not kept
    release.set()
    asker.join(WAIT)
    ending = kept if workers.run(threading.current_thread) is beside else beside
    ending.join(WAIT)
    assert not ending.is_alive()
    assert {kept, beside} - {ending} == {workers.run(threading.current_thread)}


def test_errors_and_context_variables_come_through() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    workers = Workers()
    variable.set(3)
    assert workers.run(variable.get) == 3

    def fail() -> None:
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        workers.run(fail)
    assert workers.run(lambda: 5) == 5


def test_nothing_of_what_was_computed_is_kept() -> None:
    class Large:
        pass

    workers = Workers()
    gone = weakref.ref(workers.run(Large))
    gc.collect()
    for _ in range(WAIT * 100):  # the worker lets go a moment after the result is there
        if gone() is None:
            break
        threading.Event().wait(0.01)
    assert gone() is None


def test_side_by_side_all_run_at_once_and_come_back_in_order() -> None:
    workers, together = Workers(kept=2), threading.Barrier(3)

    def call(i: int) -> tuple[int, int]:
        together.wait(WAIT)
        return i, threading.get_ident()

    found = workers.side_by_side([lambda i=i: call(i) for i in range(3)])
    assert [i for i, _ in found] == [0, 1, 2]
    assert len({thread for _, thread in found}) == 3
    kept = {workers.run(threading.get_ident) for _ in range(4)}
    assert kept <= {thread for _, thread in found}


def test_side_by_side_waits_for_all_before_it_raises() -> None:
    failing, ended = threading.Event(), list[str]()

    def fail() -> None:
        failing.set()
        raise KeyError("here")

    def slow() -> None:
        failing.wait(WAIT)
        ended.append("slow")

    with pytest.raises(KeyError, match="here"):
        Workers().side_by_side([fail, slow])
    assert ended == ["slow"]


def test_a_limit_on_threads_is_the_worker_s_own() -> None:
    with threads_of(5):
        halves = Workers(lambda count: (count + 1) // 2, kept=2)
        assert halves.side_by_side([torch.get_num_threads] * 2) == [3, 3]
        assert Workers(lambda count: count - 1).run(torch.get_num_threads) == 4
        assert Workers().run(torch.get_num_threads) == 5, "threads to come have as many as before"
        assert torch.get_num_threads() == 5


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux shows a process's threads")
def test_no_question_leaves_helpers_in_the_thread_that_asked() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.serving.helpers_left"],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert ran.stdout.split("\n") == ["sees", ""]
