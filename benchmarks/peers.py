"""``bench --compare``: the same work by other libraries, where they are installed, in the same run.

The work is the one that a page asks for: the guided gradients of five classes, and the bias gradients of every layer for five classes.
Peers get what makes them fast (all classes as one batch where that is faster, rectifiers not in place so that they run at all).
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from benchmarks.speed import CLASSES, NETWORKS, example, forward_pass, with_classes
from trgbp_core.engine.recording import record
from trgbp_core.evaluation.formatting import markdown_table
from trgbp_core.trgbp.explainer import TRGBP
from trgbp_core.trgbp.targets import one_hot
from trgbp_core.zoo.custom import loaded
from trgbp_core.zoo.loading import Zoo

from .machine import medians

Work = Callable[[], Any]


def not_in_place(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose rectifier modules do not write to their input: hooks of modules cannot follow those that do."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # type: ignore[assignment]
    return network


def _captum(network: nn.Module, x: Tensor) -> dict[str, Work]:
    from captum.attr import GuidedBackprop

    attribute = GuidedBackprop(network).attribute
    batch, targets = x.expand(CLASSES, -1, -1, -1).clone(), list(range(CLASSES))
    return {
        "captum GuidedBackprop, one batch": lambda: attribute(batch, target=targets),
        "captum GuidedBackprop, one by one": lambda: [attribute(x, target=k) for k in targets],
    }


def _zennit(network: nn.Module, x: Tensor) -> dict[str, Work]:
    from zennit.attribution import Gradient
    from zennit.composites import GuidedBackprop

    def run() -> None:
        with Gradient(model=network, composite=GuidedBackprop()) as attributor:
            attributor(batch, one_hot_rows)

    batch = x.expand(CLASSES, -1, -1, -1).clone().requires_grad_()
    with torch.no_grad():
        one_hot_rows = torch.eye(network(x).shape[1])[:CLASSES]
    return {"zennit GuidedBackprop, one batch": run}


def _grad_cam(network: nn.Module, x: Tensor) -> dict[str, Work]:
    from pytorch_grad_cam import FullGrad
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    with contextlib.redirect_stdout(io.StringIO()):  # it prints a warning about an argument that it then ignores
        full_grad = FullGrad(network, [])
    return {"grad-cam FullGrad": lambda: [full_grad(x.clone(), [ClassifierOutputTarget(k)]) for k in range(CLASSES)]}


def _bias_gradients(network: nn.Module, x: Tensor) -> dict[str, Work]:
    """As FullGrad's authors take them: hooks keep every biased layer's output; one backward pass a class reads their gradients."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    layers = [m for m in network.modules() if isinstance(m, kinds) and m.bias is not None]

    def run() -> None:
        outputs: list[tuple[Tensor, Tensor]] = []

        def keep(layer: Any, _: Any, output: Tensor) -> None:
            outputs.append((layer.bias.detach(), output))

        hooks: list[RemovableHandle] = [layer.register_forward_hook(keep) for layer in layers]
        try:
            leaf = x.clone().requires_grad_()
            logits = network(leaf)
        finally:
            for hook in hooks:
                hook.remove()
        for k in range(CLASSES):
            _, *gradients = torch.autograd.grad(logits[0, k], [leaf, *(output for _, output in outputs)], retain_graph=True)
            for (bias, _), gradient in zip(outputs, gradients, strict=True):
                (gradient * bias.view(1, -1, *[1] * (gradient.dim() - 2))).sum(1)

    return {"hooks and autograd, bias gradients": run}


GUIDED = {"captum": _captum, "zennit": _zennit}
BIASES = {"": _bias_gradients, "pytorch_grad_cam": _grad_cam}


def compare(networks: Iterable[Zoo | str] = NETWORKS, *, repeats: int = 5) -> str:
    """The table that ``python -m trgbp_core bench --compare`` prints: each peer's time over ours, above 1 where we lead."""
    cells = []
    for source in networks:
        zoo = with_classes(loaded(source))
        cells += rows(zoo.name, zoo.network, example(zoo), repeats)
    machine = f"{torch.get_num_threads()} threads, torch {torch.__version__}"
    head = f"{machine}; medians of {repeats}, taking turns; {CLASSES} classes of one picture"
    return f"{head}\n\n" + markdown_table(["network", "work", "by", "÷ forward", "÷ ours"], cells, "lllrr")


def rows(name: str, network: nn.Module, x: Tensor, repeats: int) -> list[list[str]]:
    """The table's rows of one network and one picture ``x`` (1, C, H, W)."""
    plain = not_in_place(network)

    def guided() -> None:
        recording = record(network, x, layer_maps=False)
        recording.backward(one_hot(torch.arange(CLASSES)[:, None], recording.logits))

    top = TRGBP(network).record(x).top5
    forward: dict[str, Work] = {"forward": lambda: forward_pass(network, x)}
    found = []
    for what, ours, peers in (
        ("guided gradients", guided, GUIDED),
        ("every layer's bias gradients", lambda: TRGBP(network).explain(x, top), BIASES),
    ):
        work = forward | {"TR-GBP Explorer": ours}
        for package, of in peers.items():
            if not package or importlib.util.find_spec(package) is not None:
                work |= of(plain, x)
            else:
                found.append([name, what, package, "not installed", ""])
        with warnings.catch_warnings():  # captum says at every call that it sets hooks
            warnings.simplefilter("ignore")
            seconds = medians(work, repeats, warm_up=1)
        for by, taken in seconds.items():
            if by != "forward":
                found.append([name, what, by, f"{taken / seconds['forward']:.2f}", f"{taken / seconds['TR-GBP Explorer']:.2f}"])
    return found
