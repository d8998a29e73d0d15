"""What ``pyproject.toml`` cannot say: the assets, which lie beside the package here, are installed inside it."""

import re
from pathlib import Path

from setuptools import find_packages, setup


def description() -> str:
    """README without the front matter of a Space, and without links to files that lie beside it only in the repository."""
    text = Path(__file__).with_name("README.md").read_text(encoding="utf-8").split("---\n", 2)[2].lstrip()
    return re.sub(r"!?\[([^\]]*)\]\((?!https?:)[^)]*\)", r"\1", text)


setup(
    packages=[*find_packages(include=["trgbp_core*"]), "trgbp_core.assets"],
    package_dir={"trgbp_core.assets": "assets"},
    package_data={"trgbp_core": ["py.typed"], "trgbp_core.assets": ["*", "*/**"]},
    exclude_package_data={"trgbp_core.assets": ["readme/*"]},
    long_description=description(),
    long_description_content_type="text/markdown",
)
