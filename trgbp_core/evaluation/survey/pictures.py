"""Which pictures a survey looks at: those of a folder, or files one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...data import datasets
from ...data.datasets import Dataset, DatasetError, Problem, Sample

Paths = str | Path | Iterable[str | Path]


def collected(paths: Paths, annotations: Path | None, labels: Sequence[str]) -> Dataset:
    """The pictures of a folder, whatever is known of their classes; or of several files and folders.

    Args:
        annotations: as of :func:`datasets.load`, for one folder; without it, class folders say what a picture shows.
        labels: the network's class names.

    Raises:
        DatasetError: there is no picture, or no such file.
    """
    given = _given(paths)
    for path in given:
        if not path.exists():
            raise DatasetError(f"There is no file or folder {path}.")
    if len(given) == 1 and given[0].is_dir():
        if not datasets.pictures_in(given[0]):
            raise DatasetError(f"There is no picture in {given[0]}: no file's name ends in {', '.join(datasets.SUFFIXES)}.")
        found = datasets.load(given[0], annotations, labels=labels, unlabelled=True)
        left_out = tuple(problem for problem in found.problems if problem.kind != "no box")
        known = any(sample.label != datasets.UNKNOWN for sample in found.samples)
        return Dataset(found.layout if known else "pictures", found.samples, (*left_out, *_others(given[0], annotations)))
    if annotations is not None:
        raise DatasetError("Annotations belong to one folder of pictures: give that folder alone.")
    files = {name: file for path in given for name, file in _named(path)}
    if not files:
        raise DatasetError("There is no picture in what was given.")
    return Dataset("pictures", tuple(Sample(name, file, datasets.UNKNOWN) for name, file in sorted(files.items())), ())


def _given(paths: Paths) -> list[Path]:
    """Raises DatasetError: ``paths`` is neither a file or folder nor a list of them."""
    try:
        listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    except TypeError:
        listed = [paths]  # type: ignore[list-item]
    for path in listed:
        if not isinstance(path, (str, Path)):
            raise DatasetError(
                f"Pictures are given as a folder, or as a list of files and folders (str or Path), not {type(path).__name__}."
            )
        if not str(path).strip():
            raise DatasetError("An empty name is no file or folder; the current folder is called '.'.")
    return [Path(path) for path in listed]


def _named(path: Path) -> list[tuple[str, Path]]:
    if path.is_dir():
        return [(f"{path.as_posix()}/{name}", file) for name, file in datasets.pictures_in(path).items()]
    return [(path.as_posix(), path)]


def _others(folder: Path, annotations: Path | None) -> list[Problem]:
    """One entry for all files that are no pictures by their names."""
    names = [path.name for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    others = [name for name in names if not name.lower().endswith(datasets.SUFFIXES) and (annotations is None or name != annotations.name)]
    if not others:
        return []
    shown = ", ".join(others[:3]) + (" …" if len(others) > 3 else "")
    return [Problem(shown, "other files", f"{len(others)} by whose name they are no pictures")]
