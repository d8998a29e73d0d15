"""Passes without a tape, for methods and measures that need no more than scores and their ordinary gradient, often of many pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.overrides import TorchFunctionMode

from . import devices
from .evaluation_mode import evaluation_copy
from .layer_order import layer_groups
from .recording import forward, logits_of, own, record, without_autocast
from .torch_ops import DROPOUTS, detached
from .validation import UnsupportedOperation, check

BATCH = 4
"""Pictures that go through a network together: more leave the processor's cache between two layers, fewer leave its cores idle."""
TOLERANCE = 1e-4
"""Of the largest logit. Folding rounds every weight once more, which moves logits by some 1e-6; a wrong fold moves them by far more."""


class _AsExplained(TorchFunctionMode):
    """What the tape does to a network, but for its rules: functions of dropout are the identity, parameters are constants."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in DROPOUTS:
            return args[0] if args else kwargs["input"]
        return func(*detached(args), **detached(kwargs))


@torch.no_grad()
def scores(network: nn.Module, pictures: Callable[[int, int], Tensor], count: int, *, batch: int = BATCH) -> Tensor:
    """Logits of ``count`` pictures, made a batch at a time, without a graph and without any change to the network.

    Args:
        network: maps (N, C, H, W) to (N, classes); evaluated in evaluation mode whatever mode it is in.
        pictures: ``pictures(start, stop)`` makes the pictures of these indices, (stop − start, C, H, W), fresh: the network may work
            in place. It may raise to cancel.

    Returns:
        (count, classes).
    """
    twin = _private(network)
    results = []
    for start in range(0, count, batch):
        chunk = pictures(start, min(start + batch, count))
        chunk = chunk.contiguous(memory_format=devices.layout(chunk.device))
        with _AsExplained():
            results.append(logits_of(twin(chunk)))
    return torch.cat(results)


@torch.no_grad()
def plain_logits(network: nn.Module, x: Tensor, args: tuple[Any, ...] = ()) -> Tensor:
    """Logits (N, classes) of ``network(x, *args)`` in evaluation mode by torch alone; buffers that a forward pass writes to are copies."""
    with torch.inference_mode(False), _AsExplained(), without_autocast(x.device):
        twin = _private(network)
        return logits_of(forward(twin, x.detach().clone(memory_format=torch.contiguous_format), own(args)))


def _private(network: nn.Module) -> nn.Module:
    """An evaluation copy with buffers of its own, since a forward pass may write to them."""
    twin = evaluation_copy(network)
    for module in twin.modules():
        module._buffers = {key: None if buffer is None else buffer.clone() for key, buffer in module._buffers.items()}
    return twin


def score_gradient(network: nn.Module, x: Tensor, classes: Callable[[Tensor], Tensor]) -> Tensor:
    """The ordinary gradient ∂f_k/∂x, (N, C, H, W), by torch's own autograd, whatever operations the network is made of.

    Args:
        network: maps (N, C, H, W) to (N, classes); explained in evaluation mode whatever mode it is in, never changed.
        x: (N, C, H, W), normalised.
        classes: from the logits to k, one class a picture, (N,).

    Raises:
        UnsuitableNetwork: a scripted, quantised, exported or in parts compiled network.
        ValueError: the input or the output has not the shape of a classifier's, does not fit the network, or they are not connected.
    """
    check(network, x)
    with torch.inference_mode(False), torch.enable_grad(), without_autocast(x.device):
        twin = _private(network)
        leaf = x.detach().clone(memory_format=devices.layout(x.device)).requires_grad_()
        with _AsExplained():
            logits = logits_of(forward(twin, leaf.clone()))  # the network may write to its input
        score = logits.gather(1, classes(logits.detach())[:, None]).sum()
        gradient = torch.autograd.grad(score, leaf, allow_unused=True)[0] if score.requires_grad else None
    if gradient is None:
        raise ValueError("The network's output does not depend on the picture: there is nothing to explain.")
    return gradient


@torch.inference_mode(False)
@torch.no_grad()
def folded(network: nn.Module, x: Tensor) -> nn.Module:
    """A copy of ``network`` for plain passes: batch norms and zero paddings are folded into the convolutions beside them.

    Args:
        network: left as it is; the copy shares with it whatever is not folded. x: some pictures (N, C, H, W), to compare the two.

    Returns:
        the copy; ``network`` in evaluation mode where nothing can be folded, and where the two do not agree up to rounding (something
        else may read a layer's output before its norm does).

    Raises:
        UnsuitableNetwork: a scripted, quantised, exported or in parts compiled network.
        ValueError: the input or the output has not the shape of a classifier's, or does not fit the network.
    """
    plain, twin = evaluation_copy(network), evaluation_copy(network)
    if not any(isinstance(module, (nn.BatchNorm2d, nn.ZeroPad2d)) for module in plain.modules()):
        return plain
    try:
        recorded = record(plain, x, guided=False, layer_maps=True, strict=False).layers
    except UnsupportedOperation:
        return plain
    followed = {r.name for r in recorded if r.affine.weight is not None and r.affine.scale is not None}
    for group in layer_groups(plain):
        layer, norm = plain.get_submodule(group[0]), plain.get_submodule(group[-1])
        if group[0] in followed and isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            _put(twin, group[0], fuse_conv_bn_eval(layer, norm))
            _put(twin, group[1], nn.Identity())
    modules = dict(twin.named_modules())
    for name, module in modules.items():
        parts = list(module.children())
        if isinstance(module, nn.Conv2d) and len(parts) == 1 and isinstance(parts[0], nn.ZeroPad2d):
            _put(twin, name, _with_padding(module, parts[0]))
    twin.eval()
    return twin if _agree(plain, twin, x) else plain


@torch.inference_mode(False)
@torch.no_grad()
def for_scores(network: nn.Module, x: Tensor) -> nn.Module:
    """:func:`folded`, for passes of which only the logits are read: rectifiers work in place, and kernels lie as the pictures do.

    ``python -m benchmarks passes`` measures what it gains: large maps that are written once more cost as much as many convolutions.

    Args:
        network: left as it is. x: some pictures (N, C, H, W), to compare the two.

    Returns:
        the copy; :func:`folded` alone where no rectifier is the only reader of what a layer made, and of networks that look at numbers
        to choose their way.

    Raises:
        UnsuitableNetwork, ValueError: as :func:`folded`.
    """
    plain = folded(network, x)
    twin = evaluation_copy(plain)
    alone = _alone_behind_layers(plain, x)
    for name, module in twin.named_modules():
        if name in alone:
            module.inplace = True
        elif type(module) is nn.Conv2d and "weight" in module._parameters:  # else something makes its weight for each pass
            module.weight = nn.Parameter(module.weight.contiguous(memory_format=devices.layout(x.device)), requires_grad=False)
    return twin if alone and _agree(plain, twin, x) else plain


class _Readers(TorchFunctionMode):
    """Which functions read the tensors in ``made``, by the tensor's place; and whether the network looks at numbers to choose its way."""

    def __init__(self, made: list[Tensor]) -> None:
        self.made, self.readers, self.looks = made, Counter[int](), False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.looks = self.looks or getattr(func, "__name__", "") in LOOKS
        for given in (*args, *(kwargs or {}).values()):
            for one in given if isinstance(given, (list, tuple)) else (given,):
                self.readers.update(place for place, of in enumerate(self.made) if one is of)
        return func(*args, **(kwargs or {}))


LOOKS = {"__bool__", "__int__", "__float__", "__index__", "item", "tolist", "numpy", "__contains__"}
"""Functions that make a number of a tensor."""


def _alone_behind_layers(network: nn.Module, x: Tensor) -> set[str]:
    """The rectifiers that are only ever given what a layer has just made, and are its only reader.

    Such a tensor is nobody's weight, constant or picture, and nobody misses what it was.
    """
    twin, made, given = _private(network), list[Tensor](), dict[str, list[int]]()
    with _Readers(made) as seen:

        def noted(module: nn.Module, inputs: Any, output: Any) -> None:
            made.append(output)

        def asked(name: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
            places = [place for place, output in enumerate(made) if inputs and inputs[0] is output]
            given.setdefault(name, []).extend(places or [-1])

        for name, module in twin.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear, nn.BatchNorm2d)):
                module.register_forward_hook(noted)
            elif type(module) in (nn.ReLU, nn.ReLU6):
                module.register_forward_pre_hook(partial(asked, name))
        twin(x.clone())
    if seen.looks:
        return set()
    return {name for name, places in given.items() if all(place >= 0 and seen.readers[place] == 1 for place in places)}


@torch.no_grad()
def _agree(plain: nn.Module, twin: nn.Module, x: Tensor) -> bool:
    """Whether two networks give ``x`` the same logits, up to rounding."""
    expected, found = (logits_of(_private(each)(x.clone())) for each in (plain, twin))
    return float((found - expected).abs().max()) <= TOLERANCE * float(expected.abs().max())


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _with_padding(layer: nn.Conv2d, pad: nn.ZeroPad2d) -> nn.Conv2d:
    """A convolution that pads its own input, as TensorFlow's ports do it: the same with torch's own padding.

    Where there is one row or column more of padding behind than before, the kernel grows by one of zeros in front.
    """
    left, right, top, bottom = pad.padding
    grown = (bottom - top, right - left)
    if layer.padding != (0, 0) or not set(grown) <= {0, 1} or (any(grown) and layer.dilation != (1, 1)):
        return layer
    size = tuple(k + more for k, more in zip(layer.kernel_size, grown, strict=True))
    result = nn.utils.skip_init(
        nn.Conv2d, layer.in_channels, layer.out_channels, size, layer.stride, (bottom, right), layer.dilation, layer.groups, bias=False
    )
    weight = layer.weight.new_zeros(*layer.weight.shape[:2], *size)
    weight[:, :, grown[0] :, grown[1] :] = layer.weight
    result.weight, result.bias = nn.Parameter(weight), layer.bias
    return result
