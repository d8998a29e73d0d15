"""What the documents say, done: Python blocks run, commands are ones, tables are the commands' own, the front matter is a Space's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
import yaml

import trgbp_core
from trgbp_core.cli import models
from trgbp_core.cli.main import _parser as main_parser
from trgbp_core.data.version import VERSION
from trgbp_core.zoo import catalogue

from .support.documents import DOCUMENTS, ROOT, python_blocks

TEXT = DOCUMENTS["README.md"]
BLOCKS = [(name, block) for name, block in python_blocks() if "launch(" not in block]  # those open a page, and are driven in Chromium
COMMANDS = [
    line.partition("#")[0].strip()
    for text in DOCUMENTS.values()
    for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    for line in block.splitlines()
    if line.strip() and not line.startswith("#")
]


@pytest.mark.parametrize(("document", "block"), BLOCKS)
def test_a_python_block_runs(document: str, block: str) -> None:
    if "def squared" in block:
        block += "\nfrom trgbp_core import load_model, METHODS\nimport torch\nzoo = load_model('efficientnet_lite0')\n"
        block += "assert METHODS['squared'].attribute(zoo.network, torch.zeros(1, 3, 224, 224), 1).shape == (1, 1, 224, 224)\n"
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_table_of_networks_is_what_the_command_prints_on_a_machine_without_weights(nothing_here: None) -> None:
    shown = re.search(r"<details>\n<summary>[^\n]*trgbp_core models</code></summary>\n\n(.*?)\n\n</details>", TEXT, re.DOTALL)
    assert shown is not None
    optional = [f"`efficientnet_lite{scale}`" for scale in catalogue.LITE if scale]  # listed where their packages are installed
    printed = [line for line in models.table().splitlines() if not any(name in line for name in optional)]
    assert shown[1].splitlines() == printed


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_one(command: str) -> None:
    """Its options exist; what it does is under test elsewhere. Commands of other programs name files of this repository."""
    if not command.startswith("python -m trgbp_core "):
        assert all((ROOT / name).exists() for name in re.findall(r"[\w-]+\.(?:py|txt)\b", command))
        return
    arguments = shlex.split(command)[3:]
    assert main_parser().parse_args(arguments).run


def test_quantus_evaluates_tr_gbp_by_captums_convention() -> None:
    import numpy as np
    import quantus
    import torch

    from trgbp_core import TRGBP, load_model

    zoo = load_model("efficientnet_lite0")
    x = zoo.preprocess("assets/examples/cheetah_and_lion.jpg").numpy()

    def explain(model, inputs, targets, **_):  # type: ignore[no-untyped-def]
        return TRGBP(model).attribute(torch.as_tensor(inputs), torch.as_tensor(targets)).numpy()

    (score,) = quantus.Sparseness(abs=True, disable_warnings=True)(zoo.network, x, np.array([293]), explain_func=explain)
    ours = quantus.Sparseness(abs=True, disable_warnings=True)(zoo.network, x, np.array([293]), a_batch=explain(zoo.network, x, [293]))
    assert 0 < score < 1
    assert score == pytest.approx(ours[0])


def test_pydoc_is_the_reference_of_the_public_names() -> None:
    done = subprocess.run([sys.executable, "-m", "pydoc", "trgbp_core"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0
    assert all(re.search(rf"^    (class )?{name}\b", done.stdout, re.MULTILINE) for name in trgbp_core.__all__)


def test_the_citation_and_the_changelog_are_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == VERSION
    assert citation["preferred-citation"]["title"].startswith("Towards Predictable Feature Attribution")
    assert f"## {VERSION}" in DOCUMENTS["CHANGELOG.md"]


def test_the_front_matter_is_a_spaces() -> None:
    front = yaml.safe_load(TEXT.split("---")[1])
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "apache-2.0")
    assert str(front["sdk_version"]).startswith("6.")
    assert (ROOT / front["app_file"]).exists()


def test_every_picture_of_the_readme_is_there() -> None:
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / name).stat().st_size > 10_000


def test_every_page_that_the_readme_links_to_is_there() -> None:
    for name in re.findall(r"(?<!!)\[[^\]]*\]\((?!http)([^)]+)\)", TEXT):
        assert (ROOT / name).is_file(), name
