"""The tab Many pictures: groups of what a visitor puts in, or of a prepared set; and its limits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from trgbp_core.data import examples
from trgbp_core.explorer import many
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.page import handlers
from trgbp_core.zoo.custom import named
from trgbp_core.zoo.loading import ModelCache

from ..support.colours import colour_zoo, square

COUNT = 12
TAGGED = 9


@pytest.fixture
def explorer() -> Explorer:
    return Explorer(ModelCache(own=named({"colours": colour_zoo()})))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Squares of three colours; most of the blue pictures hold the tag in place of a square. The last file is no picture."""
    paths = []
    for i in range(3 * COUNT):
        colour, tagged = i % 3, i % 3 == 2 and i < 3 * TAGGED
        paths.append(tmp_path / f"{i:02}{'-tag' if tagged else ''}.png")
        square(i, None if tagged else colour, tagged).save(paths[-1])
    (tmp_path / "words.png").write_text("no picture")
    return [*paths, tmp_path / "words.png"]


def test_pictures_that_a_tag_decided_are_flagged_and_what_cannot_be_read_is_named(explorer: Explorer, files: list[Path]) -> None:
    *progress, found = many.look(explorer, many.own(files), "colours")
    assert progress == list(range(1, len(files) + 1))
    assert isinstance(found, dict)
    first, *others = found["groups"]
    assert first["flagged"]
    assert not any(group["flagged"] for group in others)
    assert {member["name"] for member in first["members"]} == {path.name for path in files if "tag" in path.name}
    assert {member["says"] for member in first["members"]} == {"blue"}
    assert all(member["own"] == str(files[0].parent / member["name"]) for member in first["members"]), "a click opens this file"
    assert found["summary"] == f"{3 * COUNT} pictures in {len(found['groups'])} groups: one asks for a second look."
    assert found["left_out"][0].startswith("words.png: The file is not a picture")


def test_the_same_pictures_again_are_not_computed_again(explorer: Explorer, files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    *_, first = many.look(explorer, many.own(files[:6]), "colours")
    monkeypatch.setattr(explorer, "computed", None)
    *_, again = many.look(explorer, many.own(files[:6]), "colours")
    assert again == first


def test_work_that_nobody_waits_for_ends_with_the_next_picture(explorer: Explorer, files: list[Path]) -> None:
    answers = handlers.many(explorer, [file(path) for path in files], "", "colours", str)
    while "looked at 1 of" not in next(answers)[1]:
        pass
    answers.close()  # type: ignore[attr-defined]
    assert explorer.queue.waiting == 0


def file(path: Path) -> dict[str, Any]:
    """As Gradio sends a visitor's file."""
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}}


def test_too_many_or_too_large_files_or_none_are_refused_with_a_sentence(
    explorer: Explorer, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(given: Any, name: str = "") -> str:
        *_, (payload, sentence) = handlers.many(explorer, given, name, "colours", str)
        assert payload is None
        return sentence

    assert "There are no pictures yet" in said(None)
    assert "There are no pictures yet" in said([])
    assert "A picture is a file that was uploaded" in said([str(files[0])])
    assert "A picture is a file that was uploaded" in said([{"path": "/etc/passwd"}])
    assert "These are 65 pictures; 64 are the limit" in said([file(files[0])] * 65)
    assert "None of the given pictures can be used" in said([file(files[-1])])
    assert "There is no prepared set 'magic'" in said(None, "magic")
    monkeypatch.setattr(many, "MOST_BYTES", sum(os.path.getsize(path) for path in files) - 1)
    assert "MB are the limit here" in said([file(path) for path in files])


def test_the_network_that_learned_the_tag_is_caught_and_its_honest_twin_is_not() -> None:
    found = {}
    for name in ("cheat", "honest"):
        explorer = Explorer(ModelCache())
        *_, found[name] = many.look(explorer, many.prepared(name, lambda picture: ""), many.SETS[name][1])
    (flagged,) = [group for group in found["cheat"]["groups"] if group["flagged"]]
    assert flagged["title"].startswith("star")
    assert all("with a tag" in member["name"] for member in flagged["members"])
    assert len(flagged["members"]) == many.EACH * 2 // 3
    assert not any(group["flagged"] for group in found["honest"]["groups"])


def test_the_examples_are_opened_by_their_names() -> None:
    assert [one.image for one in many.prepared("examples", str)] == list(examples.pictures())
