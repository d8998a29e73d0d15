"""What tests share: one running page, and a machine that has nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core (pytest's -n), before torch is imported

import pytest

from .support.serving import served

SLOW = """
    benchmarks browser cli/test_cli cli/test_downloads cli/test_own_networks engine/test_devices evaluation/test_evaluate
    evaluation/test_predictability evaluation/test_processes evaluation/test_reading explorer/test_export methods/test_architectures
    page/test_assistants page/test_endpoints page/test_several_processes page/test_strangers paper_figures serving/test_workers
    trgbp/test_claims trgbp/test_determinism trgbp/test_golden zoo/test_architectures zoo/test_timm
""".split()
"""Folders and files that start processes, browsers, or whole architectures; all others are marked ``quick``."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick ones, and begin with the slow ones: else one process is left alone with them at the end."""
    for item in items:
        if not is_slow(item):
            item.add_marker(pytest.mark.quick)
    items.sort(key=lambda item: not is_slow(item))


def is_slow(item: pytest.Item) -> bool:
    place = item.path.relative_to(Path(__file__).parent).with_suffix("").as_posix()
    return any(place == slow or place.startswith(f"{slow}/") for slow in SLOW)


@pytest.fixture(scope="session")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``python app.py``, started as the README says."""
    with served(tmp_path_factory.mktemp("app") / "log.txt", "app.py") as url:
        yield url


@pytest.fixture
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without weights and without network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRGBP_MODEL_DIR", raising=False)
    monkeypatch.setenv("TRGBP_WEIGHTS_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("trgbp_core.zoo.downloads.PAUSE_SECONDS", 0.01)
