"""The plan of the house: which folder may import which. CONTRIBUTING.md draws it; this test holds it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support.documents import ROOT

PACKAGE = ROOT / "trgbp_core"
FOLDERS = ("engine data serving drawing trgbp zoo methods metrics sanity theory evaluation paper_figures explorer page cli").split()
"""From the ground up: a file imports from its own folder and from those before it."""
ALONE = {"__init__.py", "__main__.py", "py.typed"}
MOST_FILES, MOST_LINES, MOST_FLOORS = 16, 300, 8

FILES = sorted(PACKAGE.rglob("*.py"))


def folder(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0]


def imported(file: Path) -> Iterator[Path]:
    """The project's own files that ``file`` imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = file.parents[node.level - 1] if node.level else ROOT
            place = start.joinpath(*(node.module or "").split("."))
            for name in node.names:
                found = (place / f"{name.name}.py", place / name.name / "__init__.py", place.with_suffix(".py"), place / "__init__.py")
                yield from [path for path in found if path.is_file() and PACKAGE in path.parents][:1]
        elif isinstance(node, ast.Import):
            assert not any(name.name.startswith("trgbp_core.") for name in node.names), f"{file}: write from … import …"


ARROWS = {file: set(imported(file)) - {file} for file in FILES}


def test_every_file_belongs_to_a_folder_of_the_plan() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == ALONE
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(FOLDERS)


def test_the_reader_of_imports_sees_them() -> None:
    assert PACKAGE / "engine" / "rules.py" in ARROWS[PACKAGE / "engine" / "tape.py"]
    assert sum(map(len, ARROWS.values())) > 300


@pytest.mark.parametrize("name", FOLDERS)
def test_nothing_is_imported_from_a_folder_further_up(name: str) -> None:
    below = set(FOLDERS[: FOLDERS.index(name) + 1])
    files = [file for file in FILES if folder(file) == name]
    upward = [
        f"{file.relative_to(PACKAGE)} → {to.relative_to(PACKAGE)}" for file in files for to in ARROWS[file] if folder(to) not in below
    ]
    assert not upward


def test_no_files_import_each_other_in_a_circle() -> None:
    done: set[Path] = set()

    def visit(file: Path, path: tuple[Path, ...]) -> None:
        assert file not in path, " → ".join(str(p.relative_to(PACKAGE)) for p in (*path[path.index(file) :], file))
        if file not in done:
            for to in ARROWS[file]:
                if to.name != "__init__.py":  # a folder's face hands names on
                    visit(to, (*path, file))
            done.add(file)

    for file in FILES:
        visit(file, ())


def test_floors_files_and_lines_stay_within_their_limits() -> None:
    below: dict[str, set[str]] = defaultdict(set)
    for file, targets in ARROWS.items():
        if file.parent != PACKAGE:
            below[folder(file)] |= {folder(to) for to in targets if to.parent != PACKAGE} - {folder(file)}
    floor: dict[str, int] = {}
    for name in FOLDERS:
        floor[name] = 1 + max((floor[other] for other in below[name]), default=0)
    print(floor)
    assert max(floor.values()) <= MOST_FLOORS
    crowded = {
        str(path.relative_to(PACKAGE)): count for path in PACKAGE.rglob("*/") if (count := len(list(path.glob("*.py")))) > MOST_FILES
    }
    assert not crowded
    long = {str(file.relative_to(PACKAGE)): lines for file in FILES if (lines := file.read_text().count("\n")) > MOST_LINES}
    assert not long
