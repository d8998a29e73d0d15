"""The command ``cascade``: randomise layer by layer; print how the maps follow, and what theory predicted.

Maps are compared as the page shows and compares them; the command ``evaluate`` gives the paper's similarities.
"""

from __future__ import annotations

import argparse

from ..evaluation.formatting import markdown_table
from ..evaluation.settings import chosen_methods
from ..theory.randomised_weights import sanity_table
from . import inputs
from .options import draws, picture


def options(command: argparse.ArgumentParser) -> None:
    picture(command)
    command.add_argument("--beside", default="grad_cam", metavar="METHOD", help="the method beside TR-GBP, any key (default grad_cam)")
    draws(command)


def run(arguments: argparse.Namespace) -> None:
    beside = chosen_methods(arguments.beside)
    if len(beside) > 1:
        raise ValueError("--beside takes one method.")
    explorer, question, k = inputs.question(arguments)
    stages = list(explorer.cascade(question, k, beside[0]))
    titles = {panel["id"]: panel["title"] for panel in stages[0]["panels"]}
    rows = [
        [str(stage["index"]), *(_number(stage["similarity"][key]["spearman"]) for key in titles)]
        for stage in stages
        if stage["index"] in (1, 5, 10) or stage["index"] % 10 == 0 or stage is stages[-1]
    ]
    print(markdown_table(["layers randomised", *titles.values()], rows, "r" * (1 + len(titles))))
    print("(Spearman's rank correlation of relu(R) with the trained network's map; –: an empty map, which explains the class no longer)\n")
    print(sanity_table(question.zoo.network, question.x, k, seeds=arguments.seeds))


def _number(spearman: float | None) -> str:
    return "–" if spearman is None else f"{spearman:.2f}"
