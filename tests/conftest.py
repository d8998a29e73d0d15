"""One running page for all tests that need it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .serving import served


@pytest.fixture(scope="session")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of ``python app.py``, started as the README says."""
    with served(tmp_path_factory.mktemp("app") / "log.txt", "app.py") as url:
        yield url
