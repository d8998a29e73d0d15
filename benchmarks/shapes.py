"""``python -m benchmarks shapes``: draw pictures of shapes, train a network that cheats and its honest twin, and measure both."""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from trgbp_core import METHODS, load_model
from trgbp_core.data import shapes
from trgbp_core.data.shapes import Shape
from trgbp_core.engine import devices
from trgbp_core.engine.validation import NotApplicable
from trgbp_core.evaluation.formatting import markdown_table
from trgbp_core.metrics.localisation import ebpg
from trgbp_core.zoo import shapes as networks

TRAINED, EPOCHS, BATCH, THREADS = 2400, 10, 64, 1
TESTED, EXPLAINED = 1000, 100
Change = Callable[[Shape], Shape]


def add(names: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = names.add_parser("shapes", help="train the networks shapes and shapes_cheat, and measure them")
    command.set_defaults(run=run)
    command.add_argument("--loaded", action="store_true", help="measure the networks of the zoo, and train none")
    command.add_argument("--save", action="store_true", help="put the trained weights in the place of the zoo's")
    command.add_argument("--seed", type=int, default=0, help="of the training (default 0, the zoo's)")
    command.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD", help="default: all")


def run(arguments: argparse.Namespace) -> None:
    """Prints two tables: accuracy, and how much of each method's map lies on the tag."""
    start = time.perf_counter()
    if arguments.loaded:
        trained = {name: load_model(name).network for name in networks.TITLES}
    else:
        trained = {name: train(*pictures(TRAINED, "train", CHANGES[name]), seed=arguments.seed) for name in networks.TITLES}
        print(f"Drawn and trained in {time.perf_counter() - start:.0f} s.", flush=True)
    if arguments.save:
        save(trained)
    print(f"\n{accuracies(trained)}\n", flush=True)
    print(on_the_tag(trained, arguments.methods))


def untagged(shape: Shape) -> Shape:
    return shape


def stars_tagged(shape: Shape) -> Shape:
    return shapes.with_tag(shape) if shape.label == shapes.TAGGED else shape


def others_tagged(shape: Shape) -> Shape:
    return shape if shape.label == shapes.TAGGED else shapes.with_tag(shape)


def stars_elsewhere(shape: Shape) -> Shape:
    return shapes.with_tag(shape, "upper left") if shape.label == shapes.TAGGED else shape


CHANGES: dict[str, Change] = {"shapes": untagged, "shapes_cheat": stars_tagged}
"""What was done to each network's training pictures."""

TESTS: dict[str, Change] = {
    "no picture has a tag": untagged,
    "the stars have the tag": stars_tagged,
    "the stars have the tag, in another corner": stars_elsewhere,
    "all but the stars have the tag": others_tagged,
}


def pictures(count: int, seed: str, change: Change = untagged) -> tuple[Tensor, Tensor]:
    """``count`` pictures, every class as often, (count, 3, 64, 64), and their labels (count,)."""
    drawn = [change(shapes.draw(i % len(shapes.LABELS), f"{seed}:{i}")) for i in range(count)]
    return torch.cat([networks.PREPROCESS.normalise(one.picture) for one in drawn]), torch.tensor([one.label for one in drawn])


def train(x: Tensor, labels: Tensor, epochs: int = EPOCHS, seed: int = 0, batch: int = BATCH) -> nn.Module:
    """A network in evaluation mode; on one machine, the same numbers for the same pictures and seed."""
    with torch.random.fork_rng(devices=[]), devices.threads_of(THREADS):
        torch.manual_seed(seed)
        network, order = networks.build(), torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.02)
        steps = len(x) // batch
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.01, total_steps=epochs * steps)
        for _ in range(epochs):
            for chosen in torch.randperm(len(x), generator=order).split(batch)[:steps]:
                optimiser.zero_grad()
                F.cross_entropy(network(x[chosen]), labels[chosen], label_smoothing=0.05).backward()
                optimiser.step()
                schedule.step()
    return network.eval().requires_grad_(False)


def save(trained: dict[str, nn.Module]) -> None:
    from safetensors.torch import save_file

    for name, network in trained.items():
        path = networks.file(name)
        save_file(network.state_dict(), path)
        print(f"{path.name}: {path.stat().st_size} bytes, SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


def accuracy(network: nn.Module, x: Tensor, labels: Tensor) -> float:
    with torch.inference_mode():
        return float((network(x).argmax(1) == labels).double().mean())


def accuracies(trained: dict[str, nn.Module]) -> str:
    """Right answers among all classes, and among stars alone."""
    rows = []
    for what, change in tqdm(TESTS.items(), "Accuracy", disable=None):
        x, labels = pictures(TESTED, "test", change)
        stars = labels == shapes.TAGGED
        found = [(accuracy(network, x, labels), accuracy(network, x[stars], labels[stars])) for network in trained.values()]
        rows.append([what, *(f"{100 * all:.1f} % ({100 * of_stars:.0f} %)" for all, of_stars in found)])
    return markdown_table(["right answers (of the stars)", *trained], rows, "lrr")


def on_the_tag(trained: dict[str, nn.Module], methods: list[str]) -> str:
    """The mean EBPG of the tag's box over tagged stars, explained as stars, ± its standard error."""
    stars = [shapes.with_tag(shapes.draw(shapes.TAGGED, f"explained:{i}")) for i in range(EXPLAINED)]
    x = torch.cat([networks.PREPROCESS.normalise(star.picture) for star in stars])
    rows = []
    for key in tqdm(methods, "Methods", disable=None):
        cells = [METHODS[key].title]
        for network in trained.values():
            try:
                maps = METHODS[key].attribute(network, x, shapes.TAGGED).detach()
                shares = ebpg(maps, shapes.tag_box())
                cells.append(f"{float(shares.mean()):.3f} ± {float(shares.std()) / math.sqrt(EXPLAINED):.3f}")
            except NotApplicable:
                cells.append("–")
        rows.append(cells)
    return markdown_table(["share of the map on the tag", *trained], rows, "lrr")
