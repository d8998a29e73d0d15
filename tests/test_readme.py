"""What the README and the guides say, done: their Python blocks run, their tables are the commands' own, the front matter is a Space's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trgbp_core import catalogue, listing

from .documents import python_blocks

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [block for block in python_blocks() if "launch(" not in block]  # those open a page, and are driven in Chromium


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_runs(block: str) -> None:
    if "def squared" in block:
        block += "\nfrom trgbp_core import load_model, METHODS\nimport torch\nzoo = load_model('efficientnet_lite0')\n"
        block += "assert METHODS['squared'].attribute(zoo.network, torch.zeros(1, 3, 224, 224), 1).shape == (1, 1, 224, 224)\n"
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_table_of_networks_is_what_the_command_prints_on_a_machine_without_weights(nothing_here: None) -> None:
    shown = re.search(r"<details>\n<summary>[^\n]*trgbp_core models</code></summary>\n\n(.*?)\n\n</details>", TEXT, re.DOTALL)
    assert shown is not None
    optional = [f"`efficientnet_lite{scale}`" for scale in catalogue.LITE if scale]  # listed where their packages are installed
    printed = [line for line in listing.table().splitlines() if not any(name in line for name in optional)]
    assert shown[1].splitlines() == printed


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
