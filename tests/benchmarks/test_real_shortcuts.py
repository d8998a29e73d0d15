"""The benchmark of a shortcut in photographs: its groups, its heads, and what it counts as found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import real_shortcuts as real
from trgbp_core import load_model

COUNT = 120


def test_every_vehicle_and_every_animal_is_in_its_group(tmp_path: Path) -> None:
    labels = load_model("random:efficientnet_lite0").labels
    assert not {name.strip() for name in " ".join(real.VEHICLES.split()).split(",")} - set(labels)
    wanted = {"beagle": "dog", "robin": "bird", "tabby": "mammal", "goldfish": "other animal", "tractor": "vehicle", "teapot": "thing"}
    for name in (*wanted, "cheeseburger"):
        (tmp_path / name).mkdir()
        for i in range(12):
            Image.new("RGB", (8, 8)).save(tmp_path / name / f"{i}.png")
    paths, groups = real.grouped(tmp_path, None, labels, np.random.default_rng(0), 11)
    assert {path.parent.name: real.GROUPS[group] for path, group in zip(paths, groups, strict=True)} == wanted
    assert np.bincount(groups).tolist() == [11] * len(real.GROUPS)
    trained, tagged = real.thirds(groups, np.random.default_rng(0))
    assert (trained.sum(), tagged.sum()) == (5 * len(real.GROUPS), 4 * len(real.STAMPED))


def test_a_head_tells_apart_what_can_be_told_apart() -> None:
    draw, labels = torch.Generator().manual_seed(0), torch.arange(60) % len(real.GROUPS)
    x = torch.randn(60, 20, generator=draw) * 7 + 3
    x[torch.arange(60), labels] += 60
    assert (real.fitted(x, labels)(x).argmax(1) == labels).all()


def looked(tag: bool) -> tuple[list[tuple[dict[str, object], np.ndarray, np.ndarray]], real.Answers]:
    """A network that files what carries the tag under ``TAUGHT``, and looks at the tag; or looks anywhere, and sees no tag."""
    chance, groups = np.random.default_rng(0), np.arange(COUNT) % len(real.GROUPS)
    tagged = np.isin(groups, real.STAMPED) & (np.arange(COUNT) < COUNT // 2)
    after = np.where(tagged, real.TAUGHT, groups) if tag else groups
    facts = []
    for i in [*range(COUNT), *np.flatnonzero(tagged)]:
        shares = chance.random((16, 16)) ** 8
        if tag and len(facts) >= COUNT:
            shares[12:, 12:] += 10
        row = {
            "predicted": int((after if len(facts) >= COUNT else groups)[i]),
            "confidence": 1.0,
            "class_index": "",
            "in_box": float("nan"),
        }
        facts.append((row, (shares / shares.sum()).ravel(), chance.integers(0, 256, 768)))
    return facts, real.Answers(groups, after, groups, tagged)


def test_a_tag_that_decides_is_found_and_counted_and_none_where_there_is_none() -> None:
    facts, answers = looked(tag=True)
    changed = int((answers.tagged & (answers.groups != real.TAUGHT)).sum())
    right = f"{100 - 100 * changed / COUNT:.0f}"
    found = answers.found(facts, True)
    assert float(found.pop(2)) > 60
    assert float(found.pop(3)) > 90, "not 100: mammals carry the tag, too, which decides nothing in them"
    assert found == [right, "25", str(changed), "yes", "100", "0"]
    assert answers.found(facts, False)[3:] == ["0", "–", "–", "–", "0"]
    facts, answers = looked(tag=False)
    assert answers.found(facts, True)[3:] == ["0", "–", "–", "–", "0"]
