"""The command ``cascade``: randomise layer by layer; print how the maps follow, and what theory predicted.

Maps are compared as the page shows and compares them; the command ``evaluate`` gives the paper's similarities.
"""

from __future__ import annotations

import argparse

from ..evaluation.formatting import NOTHING, markdown_table
from ..evaluation.settings import chosen_methods
from ..explorer.explorer import Payload
from ..theory.randomised_weights import sanity_table
from . import inputs
from .grammar import Listed, only
from .options import draws, folder_as_well, picture, write

NOTE = "(Spearman's rank correlation of relu(R) with the trained network's map; –: an empty map, which explains the class no longer)"


def options(command: argparse.ArgumentParser) -> None:
    picture(command)
    what = "the method beside TR-GBP, any key (default grad_cam)"
    command.add_argument("--methods", "--method", "--beside", nargs="+", action=Listed, metavar="KEY", help=what)
    draws(command)
    folder_as_well(command)


def run(arguments: argparse.Namespace) -> None:
    inputs.picture_file(arguments)
    if arguments.seeds < 1:
        raise ValueError(f"--seeds is at least 1, not {arguments.seeds}.")
    beside = only(chosen_methods(arguments.methods or ["grad_cam"]), "method beside TR-GBP", "--methods")
    explorer, question, k = inputs.question(arguments)
    stages = list(explorer.cascade(question, k, beside))
    similar = table([s for s in stages if s["index"] in (1, 5, 10) or s["index"] % 10 == 0 or s is stages[-1]], stages[0]["panels"])
    print(f"{similar}\n{NOTE}\n")
    predicted = sanity_table(question.zoo.network, question.x, k, seeds=arguments.seeds)
    print(predicted)
    head = f"# {question.zoo.title}, {question.zoo.labels[k]}"
    write(arguments.out, "cascade.md", f"{head}\n\n{table(stages, stages[0]['panels'])}\n\n{NOTE}\n\n{predicted}")


def table(stages: list[Payload], panels: list[Payload]) -> str:
    """A line a stage, a column a map."""
    titles = {panel["id"]: panel["title"] for panel in panels}
    rows = [[str(stage["index"]), *(_number(stage["similarity"][key]["spearman"]) for key in titles)] for stage in stages]
    return markdown_table(["layers randomised", *titles.values()], rows, "r" * (1 + len(titles)))


def _number(spearman: float | None) -> str:
    return NOTHING if spearman is None else f"{spearman:.2f}"
