"""Code that computes again what a tab shows: Python that leaves its maps in ``maps``, and the command line where there is one."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from typing import Any

from ..data.crop import CENTRE

PICTURE = "picture.jpg"
"""The name that the code gives to the visitor's own file."""

INSTRUCTION_SETS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Environment variables that choose the processor's instructions and with them the order of sums, read when torch is imported."""


def write(network: str, k: int, tab: str, options: Mapping[str, Any], known: bool, threads: int, crop: str = CENTRE) -> tuple[str, str]:
    """(Python, command line) for one of the tabs explain, classes, compare, measure, cascade and predict.

    Both set what decides the order of float32 sums, so that the same machine computes the same map: the number of threads, and those of
    :data:`INSTRUCTION_SETS` that this process was started with (docs/reproducibility.md).

    Args:
        network: its name. k: the class. known: whether :func:`trgbp_core.load_model` knows that name.
        options: ``against`` and ``box`` for explain; ``methods`` for compare and measure, with ``further``, (name, class or None, known)
            of each further network; ``baseline``, ``mode`` and ``seed`` for cascade; ``draws`` for predict.
        threads: torch's number of threads when the maps were computed. crop: which part of the picture the network saw.
    """
    settings = {name: os.environ[name] for name in INSTRUCTION_SETS if os.environ.get(name)}
    python, further = f"{_opening(network, tab, known, threads, settings, crop)}\n{_BODIES[tab](k, options)}", options.get("further") or ()
    for number, (name, other, is_known) in enumerate(further, start=2):
        python += (
            "" if other is None else "\n\n" + "\n".join([*_question(name, is_known, crop), _compared(other, options, f"network{number}_")])
        )
    if not known or not all(is_known for *_, is_known in further):
        return python, "# a network of your own: from Python only"
    part = "" if crop == CENTRE else f" --crop {crop}"
    asked = f"{PICTURE} --model {network} --class {k}{part} --threads {threads} --out out"
    if tab == "predict":
        command = f"predict {PICTURE} --models {network} --class {k}{part} --threads {threads} --seeds {options['draws']}"
    elif tab == "cascade":
        command = f"cascade {asked} --beside {options['baseline']}"
    elif tab in ("compare", "measure"):
        several = asked.replace(f"--model {network}", f"--models {','.join((network, *(name for name, *_ in further)))}")
        command = f"compare {several if further else asked} --methods {','.join(options['methods'])}"
    else:
        more = "" if options.get("against") is None else f" --against {options['against']}"
        more += "" if options.get("box") is None else f" --box {','.join(map(str, options['box']))}"
        command = f"explain {asked}{more}{'  # once for each class' if tab == 'classes' else ''}"
    before = "".join(f"{name}={shlex.quote(value)} " for name, value in settings.items())
    return python, f"{before}python -m trgbp_core {command}"


def _opening(network: str, tab: str, known: bool, threads: int, settings: Mapping[str, str], crop: str) -> str:
    names = {"explain": "TRGBP, ", "classes": "TRGBP, ", "cascade": "METHODS, TRGBP, cascade, ", "predict": ""}
    lines = [f"os.environ[{name!r}] = {value!r}" for name, value in settings.items()]
    return "\n".join(
        [
            *(["import os", "", *lines] if lines else ()),
            "import torch",
            f"from trgbp_core import {names.get(tab, 'METHODS, NotApplicable, ')}load_model",
            "from trgbp_core.data import images",
            "",
            f"torch.set_num_threads({threads})  # another number sums in another order",
            *_question(network, known, crop),
        ]
    )


def _question(network: str, known: bool, crop: str) -> list[str]:
    part = "" if crop == CENTRE else f', crop="{crop}"'
    return [
        f'zoo = load_model("{network}")' if known else f"zoo = ...  # {network!r}: the network that the page was started with",
        f'x = zoo.preprocess(images.read("{PICTURE}"){part})  # your file',
    ]


def _explain(k: int, options: Mapping[str, Any]) -> str:
    j, box = options.get("against"), options.get("box")
    with_it, contrast = ("", "") if j is None else (f", {j}", f", against={j}")
    names, more = ("tr_gbp", "tr_gbp_conserving"), ""
    if j is not None:
        names = ("contrast", "contrast_conserving")
        more += f"""
maps["contrast"], maps["contrast_conserving"] = e.contrast({k}{contrast}), e.contrast({k}{contrast}, psi="conserving")"""
    if box is not None:
        more += f'''
box = {list(box)}  # left, top, right, bottom, in fractions of the picture as the network sees it
shares = {{"{names[0]}": e.shares({k}, box, psi="paper"{contrast}), "{names[1]}": e.shares({k}, box, psi="conserving"{contrast})}}'''
    return f"""e = TRGBP(zoo.network).explain(x, targets=[{k}{with_it}])
maps = {{"raw": e.raw({k}), "tr_gbp": e.attribution({k}), "tr_gbp_conserving": e.attribution({k}, psi="conserving")}}
for i in range(len(e.layers) + 1):
    maps[f"layer_{{i:03d}}_raw"], maps[f"layer_{{i:03d}}"] = e.layer_raw(i, {k}), e.layer_attribution(i, {k})
maps["layer_000_contribution_raw"] = e.layer_contribution(0, {k})  # x ⊙ R̃^0, the pixels' part of the conserving sum
maps["layer_000_contribution"] = e.layer_attribution(0, {k}, pixel="contribution"){more}"""


def _classes(k: int, options: Mapping[str, Any]) -> str:
    return f"""e = TRGBP(zoo.network).explain(x, targets=[{k}])
maps = {{f"class_{{i}}_{{psi}}": e.attribution(i, psi=psi) for psi in ("paper", "conserving") for i in e.top5}}"""


def _methods(k: int, options: Mapping[str, Any]) -> str:
    return f"maps = {{}}\n{_compared(k, options)}"


def _compared(k: int, options: Mapping[str, Any], prefix: str = "") -> str:
    name = f'f"{prefix}{{key}}"' if prefix else "key"
    return f"""for key in {list(options["methods"])!r}:
    try:
        maps[{name}] = METHODS[key].attribute(zoo.network, x, target={k})
    except NotApplicable as reason:
        print(key, reason)"""


def _cascade(k: int, options: Mapping[str, Any]) -> str:
    baseline = options["baseline"]
    computed = baseline in ("tr_gbp", "tr_gbp_conserving", "guided_backprop")
    line = "" if computed else f'\n    maps[f"stage_{{index:03d}}_baseline"] = METHODS["{baseline}"].attribute(network, x, target={k})'
    return f"""maps = {{}}
stages = [(stage.index, stage.network) for stage in cascade(zoo.network, seed={options["seed"]}, mode="{options["mode"]}")]
for index, network in [(0, zoo.network), *stages]:
    e = TRGBP(network).explain(x, targets=[{k}])
    maps[f"stage_{{index:03d}}_own"], maps[f"stage_{{index:03d}}_raw"] = e.attribution({k}), e.raw({k})
    maps[f"stage_{{index:03d}}_conserving"] = e.attribution({k}, psi="conserving")
    maps[f"stage_{{index:03d}}_gbp"] = e.layer_raw(0, {k}){line}"""


def _predict(k: int, options: Mapping[str, Any]) -> str:
    return f"""from trgbp_core.theory.coverage import coverage, predicted_sum
from trgbp_core.theory.randomised_weights import draw

predicted = coverage(zoo.network, x.shape)  # no picture, no draw
*_, draws = draw(zoo.network, x, {k}, seeds={options["draws"]})
maps = {{"predicted": predicted_sum(predicted, tuple(x.shape[2:])), "measured": draws.total.mean(0, keepdim=True)}}
for i, (layer, drawn) in enumerate(zip(predicted, draws.maps), start=1):
    maps[f"layer_{{i:03d}}_predicted"], maps[f"layer_{{i:03d}}_measured"] = layer.map, drawn.mean(0, keepdim=True)"""


_BODIES = {"explain": _explain, "classes": _classes, "compare": _methods, "measure": _methods, "cascade": _cascade, "predict": _predict}
