"""Loaded networks in memory: bounded, the least recently used goes, and one load for many who ask."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from torch import nn

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
    together = threading.Barrier(8)

    def ask(_) -> Zoo:
        together.wait()
        return cache.get("a")

    loader = Loader()
    cache = ModelCache(load=loader)
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(ask, range(8)))
    assert loader.names == ["a"]
    assert len({id(zoo.network) for zoo in results}) == 1


def test_a_failed_load_is_reported_and_tried_again_next_time():
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


def test_the_cache_hands_out_the_embedded_network():
    cache = ModelCache()
    assert cache.get("efficientnet_lite0") is cache.get("efficientnet_lite0")
    assert cache.bytes > 4 * embedded().entry.parameters
    with pytest.raises(ModelError):
        cache.get("nothing of the kind")
