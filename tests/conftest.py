"""What tests share: one running page, and a machine that has nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one process a core (pytest's -n), before torch is imported

import pytest

from .support.serving import served


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
