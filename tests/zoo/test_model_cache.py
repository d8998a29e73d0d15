"""Loaded networks in memory: bounded, the least recently used goes, and one load for many who ask."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from torch import nn

from trgbp_core.serving.jobs import Cancelled
from trgbp_core.zoo.checkpoints import WeightsError
from trgbp_core.zoo.loading import Entry, ModelCache, ModelError, Preprocess, Zoo

from ..support.zoo import embedded


def tiny(name: str, kilobytes: int = 4) -> Zoo:
    network = nn.Linear(kilobytes * 256, 1, bias=False)
    entry = Entry(name, name, "made here", "none", 1, None, 0, Preprocess())
    return Zoo(entry, network, ["only"])


class Loader:
    """Counts what it loads."""

    def __init__(self, work=lambda name, **_: tiny(name)):
        self.names: list[str] = []
        self.work = work

    def __call__(self, name, **options):
        self.names.append(name)
        return self.work(name, **options)


def test_the_least_recently_used_network_goes_first():
    loader = Loader()
    cache = ModelCache(limit=12 * 1024, load=loader)
    for name in "abcabd":
        assert cache.get(name).name == name
    assert loader.names == list("abcd")
    assert cache.names == ("a", "b", "d")
    assert cache.bytes == 12 * 1024
    cache.get("c")
    assert loader.names == list("abcdc")


def test_one_network_over_the_limit_is_kept_alone_and_the_dropped_one_is_freed():
    cache = ModelCache(limit=6 * 1024, load=lambda name, **_: tiny(name, 100 if name == "large" else 4))
    small = weakref.ref(cache.get("small").network)
    cache.get("large")
    gc.collect()
    assert cache.names == ("large",)
    assert small() is None
    cache.get("small")
    assert cache.names == ("small",)


def test_many_who_ask_at_once_get_one_network_loaded_once():
    gate = threading.Event()

    def slow(name, **_):
        gate.wait()
        return tiny(name)

    loader = Loader(slow)
    cache = ModelCache(load=loader)
    results: list[Zoo] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("a"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert loader.names == ["a"]
    assert len(results) == 8
    assert len({id(zoo.network) for zoo in results}) == 1


def test_a_failed_load_is_told_and_tried_again_next_time():
    def fail(name, **_):
        if len(loader.names) == 1:
            raise WeightsError("No luck.")
        return tiny(name)

    loader = Loader(fail)
    cache = ModelCache(load=loader)
    with pytest.raises(WeightsError, match="No luck"):
        cache.get("a")
    assert cache.names == ()
    assert cache.get("a").name == "a"


def test_one_who_cancels_leaves_at_once_and_the_load_is_told_to_stop():
    stopped, started = threading.Event(), threading.Event()

    def endless(name, *, progress, cancel):
        started.set()
        while not cancel():
            stopped.wait(0.01)
        stopped.set()
        raise Cancelled("Cancelled.")

    cache = ModelCache(load=endless)
    with pytest.raises(Cancelled):
        cache.get("a", cancel=started.is_set)
    assert stopped.wait(10)
    assert cache.names == ()


def test_progress_of_a_load_reaches_the_one_who_asked():
    def load(name, *, progress, cancel):
        progress(5, 10)
        return tiny(name)

    told = []
    ModelCache(load=load).get("a", progress=lambda *numbers: told.append(numbers))
    assert told == [(5, 10)]


def test_the_cache_hands_out_the_embedded_network():
    cache = ModelCache()
    assert cache.get("efficientnet_lite0") is cache.get("efficientnet_lite0")
    assert cache.bytes > 4 * embedded().entry.parameters
    with pytest.raises(ModelError):
        cache.get("nothing of the kind")
