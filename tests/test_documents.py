"""What the documents say is so: Python blocks run, commands, files and links exist, tables are those of the code."""

from __future__ import annotations

import ast
import importlib.util
import json
import pydoc
import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import app
import trgbp_core
from trgbp_core import METHODS, load_model
from trgbp_core.cli import models
from trgbp_core.cli.main import _parser as main_parser
from trgbp_core.cli.main import with_command
from trgbp_core.data.version import VERSION
from trgbp_core.zoo import catalogue

from .support.documents import DOCUMENTS, ROOT, commands, inline_code, python_blocks
from .test_plan import FOLDERS

README, CONTRIBUTING = DOCUMENTS["README.md"], DOCUMENTS["CONTRIBUTING.md"]
BLOCKS = [(name, block) for name, block in python_blocks() if "launch(" not in block]  # those open a page: tests/browser runs them
COMMANDS = commands()
OPTIONAL = ("lightning", "transformers")
"""Packages of examples that no other test needs."""
PLACEHOLDERS = {"COMMAND", "KEY", "NAME", "NUMBER", "OUT"}
"""Words in capitals that stand for a reader's own."""


def first_cells(text: str) -> list[str]:
    """What the first column of the tables holds in backticks."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the repository's folder; methods that a block registers, and random numbers that it draws, leave no trace."""
    monkeypatch.chdir(ROOT)
    before, about = dict(METHODS), type(METHODS).__doc__
    with torch.random.fork_rng():
        yield
    METHODS.clear()
    METHODS.update(before)
    type(METHODS).__doc__ = about


@pytest.mark.parametrize(("document", "block"), BLOCKS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(BLOCKS)])
def test_a_python_block_runs_and_a_method_that_it_registers_gives_a_map(document: str, block: str, restored: None) -> None:
    for package in OPTIONAL:
        if f"import {package}" in block or f"from {package}" in block:
            pytest.importorskip(package, reason=f"{package} is not installed; requirements-dev.txt has it")
    known = set(METHODS)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(block, document, "exec"), names)
    for key in METHODS.keys() - known:
        network = load_model("efficientnet_lite0").network
        assert METHODS[key].attribute(network, torch.zeros(1, 3, 224, 224), 1).shape == (1, 1, 224, 224)
    if "scores" in names:  # Quantus by captum's convention: the same score as for a map that it is given
        quantus, zoo, x = names["quantus"], names["zoo"], names["x"]
        given = names["explain"](zoo.network, x, [293])
        ours = quantus.Sparseness(abs=True, disable_warnings=True)(zoo.network, x, names["np"].array([293]), a_batch=given)
        assert 0 < names["scores"][0] < 1
        assert names["scores"] == pytest.approx(ours)


OURS = re.compile(r"(?:.*-m trgbp_core|trgbp)(?: |$)")


@pytest.mark.parametrize("command", [c for c in COMMANDS if OURS.match(c) and not PLACEHOLDERS & set(c.split())])
def test_a_command_and_its_options_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What it does is under test elsewhere. A command named without its arguments is asked for its help."""
    arguments = with_command(shlex.split(OURS.sub("", command, count=1)))
    if len(arguments) > 1 and "--help" not in arguments:
        assert main_parser().parse_args(arguments).run
    else:
        with pytest.raises(SystemExit, match="0"):
            main_parser().parse_args([*arguments, "--help"])


def test_the_options_of_the_page_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        app.launch(["--help"])
    shown = capsys.readouterr().out
    named = {option for command in COMMANDS if re.search(r"app\.py|trgbp (page|-)", command) for option in re.findall(r"--[\w-]+", command)}
    assert len(named) > 4
    assert all(option in shown for option in named), named


def test_modules_and_files_that_commands_name_exist() -> None:
    modules = {name for command in COMMANDS for name in re.findall(r"python -m ([\w.]+)", command)} - PLACEHOLDERS
    assert {"trgbp_core", "benchmarks", "pytest", "pydoc"} <= modules
    assert not [name for name in modules if importlib.util.find_spec(name) is None]
    files = {name for command in COMMANDS for name in re.findall(r"[\w/-]+\.(?:py|txt|jpg)\b", command)}
    assert not [name for name in files if not (ROOT / name).exists()]


def test_the_test_files_of_the_lowest_versions_exist() -> None:
    (files,) = re.findall(r"^files=\((.*)\)$", (ROOT / ".ci" / "lowest").read_text(encoding="utf-8"), re.MULTILINE)
    assert not [name for name in files.split() if not (ROOT / "tests" / f"{name}.py").is_file()]


def test_files_of_the_project_that_the_text_names_exist() -> None:
    paths = [code for code in inline_code() if re.fullmatch(r"\.?(?:[\w-]+/)+[\w.-]*", code) and not re.search("NUMBER|NAME", code)]
    assert len(paths) > 20
    missing = [path for path in paths if not (ROOT / path).exists() and not (ROOT / "trgbp_core" / path).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_leads_to_a_file(document: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", DOCUMENTS[document]):
        file = (ROOT / document).parent / target
        assert file.is_file(), target
        assert file.suffix != ".png" or file.stat().st_size > 10_000, f"{target} is no picture"


def test_every_anchor_is_a_heading() -> None:
    for document, text in DOCUMENTS.items():
        for target, anchor in re.findall(r"\]\(([\w./]*)#([\w-]+)\)", text):
            other = (Path(document).parent / target) if target else Path(document)
            linked = (ROOT / other).read_text(encoding="utf-8")
            headings = [
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", linked, re.MULTILINE)
            ]
            assert anchor in headings, f"{document}: {target}#{anchor}"


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert README.count("\n") <= 180
    for name in DOCUMENTS:
        assert f"]({name})" in README or name in {"README.md", "CHANGELOG.md"}


def test_the_readme_gives_the_test_command_as_a_line_of_its_own() -> None:
    assert re.search(r"^pip install -r requirements-dev\.txt && .*pytest", README, re.MULTILINE), ".ci/run takes it from there"


def test_the_readme_begins_with_the_front_matter_of_a_space() -> None:
    front = yaml.safe_load(README.split("---")[1])
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "apache-2.0")
    assert str(front["sdk_version"]).startswith("6.")
    assert (ROOT / front["app_file"]).exists()


def test_contributing_is_short_and_draws_the_folders_as_the_plan_has_them() -> None:
    assert CONTRIBUTING.count("\n") <= 110
    assert first_cells(CONTRIBUTING) == [f"{folder}/" for folder in FOLDERS]


def test_the_table_of_networks_is_what_the_command_prints_on_a_machine_without_weights(nothing_here: None) -> None:
    shown = re.search(r"(?:^\|.*\n)+", DOCUMENTS["docs/networks.md"], re.MULTILINE)
    assert shown is not None
    optional = [f"`efficientnet_lite{scale}`" for scale in catalogue.LITE if scale]  # listed where their packages are installed
    printed = [line for line in models.table().splitlines() if not any(name in line for name in optional)]
    assert shown[0].splitlines() == printed


def test_the_table_of_methods_holds_every_method_by_its_title() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", DOCUMENTS["docs/methods.md"], re.MULTILINE)
    assert rows == [(key, method.title) for key, method in METHODS.items()]
    assert "twenty-five other" in " ".join(README.split())
    assert len(METHODS) == 2 + 25


def test_the_reference_is_what_the_docstrings_say() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "make_api.py"))["page"]()
    assert DOCUMENTS["docs/api.md"] == written, "python docs/make_api.py writes it anew"
    assert re.findall(r"^## (\w+)$", written, re.MULTILINE) == list(trgbp_core.__all__)


def test_the_notebook_runs_from_the_first_cell_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell in one namespace; what a cell ends in is asked how it shows itself, as a notebook would."""
    monkeypatch.chdir(ROOT / "docs")
    cells = json.loads((ROOT / "docs" / "tour.ipynb").read_text(encoding="utf-8"))["cells"]
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
        *statements, last = ast.parse(source).body
        ends_in_value = isinstance(last, ast.Expr)
        exec(compile(ast.Module(statements if ends_in_value else [*statements, last], []), "tour.ipynb", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), "tour.ipynb", "eval"), names)
            shown.append(value._repr_png_() if hasattr(value, "_repr_png_") else repr(value))
    assert len(shown) >= 8
    assert all(shown)
    assert sum(isinstance(each, bytes) and each.startswith(b"\x89PNG") for each in shown) >= 4


def test_pydoc_prints_every_public_name() -> None:
    text = pydoc.render_doc(trgbp_core, renderer=pydoc.plaintext)
    assert all(re.search(rf"\b{name}\b", text) for name in trgbp_core.__all__)


def test_the_citation_and_the_changelog_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    assert citation["preferred-citation"]["title"].startswith("Towards Predictable Feature Attribution")
    assert f"## {VERSION}" in DOCUMENTS["CHANGELOG.md"]
