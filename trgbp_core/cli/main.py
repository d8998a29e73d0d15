"""The command line: ``python -m trgbp_core COMMAND``. Whatever is wrong is one line on stderr and exit code 2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        with _computing_with(arguments):
            arguments.run(arguments)
    except (ValueError, OSError) as error:
        print(f"trgbp_core: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("trgbp_core: stopped", file=sys.stderr)
        return 130
    return 0


@contextmanager
def _computing_with(arguments: argparse.Namespace) -> Iterator[None]:
    """Torch's number of threads as ``--threads`` of :func:`_threads` says, and afterwards as before. Raises ValueError below 1."""
    count = getattr(arguments, "cpu_threads", None)
    if count is None:
        yield
        return
    if count < 1:
        raise ValueError(f"--threads is at least 1, not {count}.")
    from ..engine.devices import threads_of

    with threads_of(count):
        yield


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trgbp_core", description="TR-GBP: Theoretical Refinements of Guided BackPropagation.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    explain = _command(commands, "explain", _explain, "explain one picture: overlays, maps (PNG, .npy) and the top 5")
    _asked(explain)
    explain.add_argument("--layer", type=int, help="also write R̃^l and R^l of this layer; 0 is the picture")
    compare = _command(commands, "compare", _compare, "every method on one picture, and one figure of them all")
    _asked(compare)
    compare.add_argument("--methods", default="all", help="comma-separated keys, or all (default)")
    compare.add_argument("--patterns", type=Path, metavar="FILE", help="fitted by `patterns`, for PatternNet and PatternAttribution")
    patterns = _command(
        commands, "patterns", _patterns, "learn the patterns of PatternNet and PatternAttribution from a folder of pictures"
    )
    patterns.add_argument("images", type=Path, metavar="IMAGES")
    patterns.add_argument("--out", type=Path, required=True, metavar="FILE")
    _network(patterns)
    sanity = _command(commands, "cascade", _cascade, "randomise layer by layer; print how the maps follow, and what theory predicted")
    _asked(sanity)
    sanity.add_argument("--beside", default="grad_cam", metavar="METHOD", help="the method beside TR-GBP, any key (default grad_cam)")
    sanity.add_argument("--seeds", type=int, default=5, help="draws for the fully randomised network (default 5)")
    from ..evaluation import calibration, predictability
    from ..explorer.lessons import handouts
    from . import evaluate as evaluation
    from . import figure, predict

    evaluation.options(_command(commands, "evaluate", evaluation.evaluate, evaluation.HELP))
    calibration.options(_command(commands, "calibrate", calibration.run, calibration.HELP))
    foretold = _command(commands, "predict", predict.run, predict.HELP)
    predict.options(foretold)
    _threads(foretold)
    predictability.options(_command(commands, "predictability", predictability.run, predictability.HELP))
    figure.options(_command(commands, "figure", figure.run, figure.HELP))
    handouts.options(_command(commands, "handouts", handouts.run, "a printable page for every lesson of the tab Learn"))
    listing = _command(commands, "models", _models, "the networks, and which need a download", device=None)
    listing.add_argument("--fetch", nargs="+", metavar="MODEL", help="download the weights of these now, for working offline later")
    bench = _command(commands, "bench", _bench, "speed, as ratios within one run", device="cpu")
    bench.add_argument("--models", nargs="+", metavar="MODEL", help="networks (random:NAME needs no weights)")
    bench.add_argument("--repeats", type=int, help="rounds (default 10; 5 with --compare, 3 with --methods and --scale)")
    bench.add_argument("--threads", type=int, default=2)
    kinds = bench.add_mutually_exclusive_group()
    kinds.add_argument("--methods", action="store_true", help="the time of every method instead")
    kinds.add_argument("--compare", action="store_true", help="the same work by captum, zennit and grad-cam instead, where installed")
    kinds.add_argument("--scale", action="store_true", help="growth with size, classes, depth and batch instead, as table and plot")
    bench.add_argument("--out", type=Path, default=Path("out"), help="folder of the plot of --scale (default out)")
    return parser


def _command(commands: Any, name: str, run: Any, help: str, *, device: str | None = "auto") -> argparse.ArgumentParser:
    """A command; ``device`` is the default of its ``--device``, None for one that computes nothing."""
    from ..engine import devices

    parents = [] if device is None else [devices.option(device)]
    command: argparse.ArgumentParser = commands.add_parser(name, help=help, description=help, parents=parents)
    command.set_defaults(run=run)
    return command


def _asked(command: argparse.ArgumentParser) -> None:
    command.add_argument("picture", metavar="PICTURE")
    _network(command)
    command.add_argument("--class", dest="wanted", default=None, metavar="K|NAME", help="the class to explain (default: the best)")
    _threads(command)
    command.add_argument("--out", type=Path, default=Path("out"), help="folder to write to (default out)")


def _threads(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--threads",
        type=int,
        dest="cpu_threads",
        metavar="N",
        help="threads to compute with (default: torch's)",
    )


def _network(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", default="efficientnet_lite0", help="a network of `models` (default efficientnet_lite0)")
    command.add_argument("--weights", type=Path, metavar="FILE", help="its weights: safetensors, or a checkpoint of plain tensors")


def _question(arguments: argparse.Namespace, *, float64: bool = True) -> Any:
    from ..data import images
    from ..engine import devices
    from ..explorer.explorer import Explorer
    from ..serving.memory import keep_freed_memory
    from ..zoo.custom import preloaded
    from ..zoo.download_progress import on_terminal
    from ..zoo.loading import ModelCache

    keep_freed_memory()
    device = devices.prepare(arguments.device, float64=float64)
    picture = images.read(arguments.picture)
    explorer = Explorer(ModelCache(own=preloaded(arguments.model, arguments.weights, device=device), device=device))
    with on_terminal(arguments.model) as progress:
        question = explorer.ask(picture, arguments.model, progress=progress)
    return explorer, question, explorer.find_class(question, arguments.wanted)


def _explain(arguments: argparse.Namespace) -> None:
    explorer, question, k = _question(arguments, float64=False)
    e = explorer.explanation(question, k)
    maps = {"raw": e.raw(k), "tr_gbp": e.attribution(k), "tr_gbp_conserving": e.attribution(k, "conserving")}
    if arguments.layer is not None:
        maps[f"layer{arguments.layer}_raw"] = e.layer_raw(arguments.layer, k)
        maps[f"layer{arguments.layer}_tr_gbp"] = e.layer_attribution(arguments.layer, k)
    for name, map in maps.items():
        _write(arguments.out, name, question.picture, map)
    for i in e.top5:
        print(f"{float(e.probabilities[0, i]):7.2%}  {i:4d}  {question.zoo.labels[i]}{'   <- explained' if i == k else ''}")
    if k not in e.top5:
        print(f"{float(e.probabilities[0, k]):7.2%}  {k:4d}  {question.zoo.labels[k]}   <- explained")
    print(f"{len(maps)} maps in {arguments.out}")


def _write(folder: Path, name: str, picture: Any, map: Any) -> None:
    """NAME.png (coloured), NAME_overlay.png (over the picture) and NAME.npy (signed numbers, float32)."""
    from ..drawing.render import heat, overlay, to_array

    folder.mkdir(parents=True, exist_ok=True)
    heat(map, picture.size).save(folder / f"{name}.png")
    overlay(picture, map).save(folder / f"{name}_overlay.png")
    np.save(folder / f"{name}.npy", to_array(map))


def _compare(arguments: argparse.Namespace) -> None:
    from ..drawing.figures import save_comparison
    from ..methods.learn_patterns import Patterns
    from ..methods.patterns import use_patterns

    keys = _methods(arguments.methods)
    explorer, question, k = _question(arguments)
    if arguments.patterns is not None:
        use_patterns(question.zoo.network, Patterns.load(arguments.patterns))
    panels = []
    for panel in explorer.compare(question, k, keys):
        panels.append(panel)
        print(
            f"{panel['title']:28s} {'' if panel['seconds'] is None else format(panel['seconds'], '8.2f') + ' s'} {panel['empty']}",
            flush=True,
        )
    files = save_comparison(question.picture, panels, arguments.out, f"{question.zoo.title}: {question.zoo.labels[k]}")
    print(f"figure: {', '.join(map(str, files))}")


def _methods(wanted: str) -> list[str]:
    """Raises ValueError for a key that does not exist."""
    from ..methods import METHODS

    keys = list(METHODS) if wanted == "all" else [key.strip() for key in wanted.split(",")]
    unknown = [key for key in keys if key not in METHODS]
    if unknown:
        raise ValueError(f"There is no method {unknown[0]!r}; there are {', '.join(METHODS)}.")
    return keys


def _patterns(arguments: argparse.Namespace) -> None:
    import torch

    from ..data import images
    from ..engine import devices
    from ..methods.learn_patterns import fit_patterns
    from ..zoo.download_progress import on_terminal
    from ..zoo.loading import load_model

    device = devices.prepare(arguments.device)
    files = sorted(file for file in arguments.images.iterdir() if file.is_file())
    with on_terminal(arguments.model) as progress:
        zoo, batch = load_model(arguments.model, weights=arguments.weights, device=device, progress=progress), 16

    def pictures() -> Iterator[torch.Tensor]:
        waiting = []
        for file in files:
            try:
                waiting.append(zoo.preprocess(images.read(file)))
            except images.ImageError as error:
                print(f"skipped {file.name}: {error}", file=sys.stderr)
            if len(waiting) == batch:
                yield torch.cat(waiting)
                waiting = []
        if waiting:
            yield torch.cat(waiting)

    def seen(count: int) -> None:
        print(f"\r{count} pictures", end="", file=sys.stderr, flush=True)

    fit_patterns(zoo.network, pictures(), seen=seen).save(arguments.out)
    print(f"\npatterns of {zoo.name} in {arguments.out}")


def _cascade(arguments: argparse.Namespace) -> None:
    from ..theory.randomised_weights import sanity_table

    beside = _methods(arguments.beside)
    if len(beside) > 1:
        raise ValueError("--beside takes one method.")
    explorer, question, k = _question(arguments)
    stages = list(explorer.cascade(question, k, beside[0]))
    titles = {panel["id"]: panel["title"] for panel in stages[0]["panels"]}
    print("| layers randomised | " + " | ".join(titles.values()) + " |\n|---:|" + "---:|" * len(titles))
    for stage in stages:
        if stage["index"] in (1, 5, 10) or stage["index"] % 10 == 0 or stage is stages[-1]:
            print(f"| {stage['index']} | " + " | ".join(f"{stage['similarity'][key]['spearman']:.2f}" for key in titles) + " |")
    print("(Spearman's rank correlation of |R| with the trained network's map)\n")
    print(sanity_table(question.zoo.network, question.x, k, seeds=arguments.seeds))


def _models(arguments: argparse.Namespace) -> None:
    from . import models

    if arguments.fetch:
        models.fetch_all(arguments.fetch)
    else:
        print(models.table())


def _bench(arguments: argparse.Namespace) -> None:
    from benchmarks import speed

    from ..engine import devices
    from ..serving.memory import keep_freed_memory

    keep_freed_memory()
    usual = 3 if arguments.methods or arguments.scale else 5 if arguments.compare else 10
    repeats = usual if arguments.repeats is None else arguments.repeats
    if repeats < 1 or arguments.threads < 1:
        raise ValueError("--repeats and --threads must be at least 1.")
    device = devices.prepare(arguments.device)
    if device.type != "cpu" and (arguments.compare or arguments.scale):
        raise ValueError("--compare and --scale measure the processor; `python -m benchmarks gpu` measures a graphics card.")
    names = arguments.models or speed.NETWORKS
    if arguments.methods:
        for name in arguments.models or [speed.NETWORKS[-1]]:
            for line in speed.bench_methods(name, repeats=repeats, threads=arguments.threads, device=device):
                print(line, flush=True)
        return
    if arguments.compare:
        from benchmarks import peers

        print(peers.compare(names, repeats=repeats, threads=arguments.threads))
        return
    if arguments.scale:
        from benchmarks import scale

        print(scale.report(arguments.out, repeats=repeats, threads=arguments.threads))
        return
    print(speed.bench(names, repeats=repeats, threads=arguments.threads, device=device))
