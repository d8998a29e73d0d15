"""What the README says, done: its Python blocks run, and its front matter is what a Space needs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_python_block_runs(block: str) -> None:
    if "def squared" in block:
        block += "\nfrom trgbp_core import load_model, METHODS\nimport torch\nzoo = load_model('efficientnet_lite0')\n"
        block += "assert METHODS['squared'].attribute(zoo.network, torch.zeros(1, 3, 224, 224), 1).shape == (1, 1, 224, 224)\n"
    done = subprocess.run([sys.executable, "-c", block], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_the_front_matter_is_a_spaces() -> None:
    front = yaml.safe_load(TEXT.split("---")[1])
    assert (front["sdk"], front["app_file"], front["license"]) == ("gradio", "app.py", "apache-2.0")
    assert str(front["sdk_version"]).startswith("6.")
    assert (ROOT / front["app_file"]).exists()


def test_every_picture_of_the_readme_is_there() -> None:
    for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / name).stat().st_size > 10_000
