"""One recorded forward pass: rectifiers become guided, bias-carrying layers are noted.

A :class:`torch.overrides.TorchFunctionMode`, active for one call of the network, sees every operation however it is called: by a module,
a reused module, in place, as a function or a tensor method. Nothing of the network is touched, and the mode belongs to its thread,
so that many threads may record the same network at once. The tape knows nothing of classes or pictures.

What is recorded (Section 4.1, Eq. 8):

- a convolution or linear layer, with the batch norm that consumes its output folded in, ``b' = β + (b − μ)·s``, ``s = γ/√(σ²+ε)``;
- a batch norm that follows no such layer, and a constant that is added on the way: 1×1 layers of their own;
- the constant 6 of saturated ReLU6 units, with the layer that the rectifier directly follows, or as a 1×1 layer of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from .backward import Affine, ApplyAffine, ConstantMap, Gate, Rectify
from .geometry import Pair, Window
from .names import Names
from .operations import (
    ADDITIVE,
    DROPOUTS,
    LEAKY,
    MULTIPLICATIVE,
    ORDINARY,
    PADS,
    convolution_padding,
    depends,
    detached,
    divides_by_constant,
    map_size,
    operands,
    output_size,
    pad_value,
    pair,
    rectifier_calls,
    replaced,
    tensors,
    zero_padding,
)
from .records import LayerRecord, Origin
from .suitability import NotApplicable


class UnsupportedOperation(NotApplicable):
    """The network holds an operation that the theory does not cover: not a rectifier, and not linear."""


@dataclass
class Tape(TorchFunctionMode):
    """The mode itself. :func:`record` is the way to use it; subclasses change a rule by overriding its method.

    Args:
        network: the network that will be called; only its names are read.
        guided: Eq. 4 at rectifiers, or the ordinary gradient.
        layer_maps: note bias-carrying layers.
        strict: refuse operations that the theory does not cover; otherwise they keep their ordinary gradient and are listed.

    ``picture`` is what the network is called with, as :func:`record` sets it.
    """

    network: nn.Module
    guided: bool = True
    layer_maps: bool = True
    strict: bool = True
    layers: list[LayerRecord] = field(default_factory=list)
    rectified: set[int] = field(default_factory=set)
    saturating: set[int] = field(default_factory=set)
    outside: list[str] = field(default_factory=list)
    activations: int = 0
    picture: Tensor | None = None

    def __post_init__(self) -> None:
        super().__init__()
        self._origins: Any = WeakTensorKeyDictionary()
        # A rectifier in place changes its input's values at once; whoever uses that input afterwards means the rectified tensor.
        self._successors: Any = WeakTensorKeyDictionary()
        self.names = Names(self.network)

    __hash__ = object.__hash__

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if len(self._successors):
            args, kwargs = self._current(args), {k: self._current(v) for k, v in kwargs.items()}
        handler = HANDLERS.get(func)
        if handler is not None and any(depends(a) for a in tensors(args, kwargs)):
            return handler(self, func, *args, **kwargs)
        # A parameter is a constant here; detached, it cannot be taken for something that depends on the picture.
        args, kwargs = detached(args), {k: detached(v) for k, v in kwargs.items()}
        return self._ordinary(func, args, kwargs)

    def _current(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            while (successor := self._successors.get(value)) is not None:
                value = successor
            return value
        if isinstance(value, (tuple, list)):
            return type(value)(self._current(v) for v in value)
        return value

    # -- everything that is neither a rectifier nor a bias-carrying layer ---------------------------------------------------------

    def _ordinary(self, func: Any, args: Any, kwargs: Any) -> Any:
        name = getattr(func, "__name__", str(func))
        inputs = [a for a in tensors(args, kwargs) if depends(a)]
        if not inputs and name.endswith("_") and args and self.names.owns(args[0]):
            # A batch norm in training mode counts its batches: what belongs to the network is not written to.
            return args[0]
        if inputs and name in DROPOUTS:
            return inputs[0]
        if inputs and name == "view" and not isinstance(args[1], torch.dtype):
            # The tape computes in channels-last layout, where a view that the network may take for granted need not exist.
            func, name = torch.Tensor.reshape, "reshape"
        result = func(*args, **kwargs)
        if not inputs or not any(depends(r) for r in tensors((result,), {})):
            return result
        self._note_origin(name, inputs[0], result, kwargs, args)
        constants = [a for a in operands(args, kwargs) if not depends(a)]
        if name in ADDITIVE:
            return self._sum(func, args, kwargs, inputs, result) if constants else result
        if name == "conv_transpose2d" or (name in PADS and pad_value(*args, **kwargs)):
            return self._sum(func, args, kwargs, inputs, result)
        if name in ORDINARY or (name in MULTIPLICATIVE and len(inputs) == 1 and divides_by_constant(name, args)):
            return result
        return self.let_through(name, result)

    def let_through(self, name: str, result: Any) -> Any:
        where = self.names.running()
        if self.strict:
            raise UnsupportedOperation(
                f"{where} applies {name!r}, which is neither a rectifier (ReLU, ReLU6) nor linear: the theory of guided "
                f"backpropagation does not cover this network. strict=False lets it through with its ordinary gradient{_exact(name)}."
            )
        self.outside.append(f"{where}: {name}")
        return result

    def _note_origin(self, name: str, x: Tensor, result: Any, kwargs: Any, args: Any) -> None:
        """Remember paddings, flattened maps and sums; forget what an in-place operation has changed."""
        if not isinstance(result, Tensor):
            return
        origin = self._origins.pop(result, None) if result is x else None
        if name in ADDITIVE:
            parts = [self._origins.get(t) for t in tensors(args, kwargs) if t is not x or origin is None]
            layers = [i for part in [origin, *parts] if part is not None for i in part.layers]
            self._origins[result] = Origin(layers=tuple(dict.fromkeys(layers)))
        elif name in ("flatten", "reshape", "squeeze") and x.dim() == 4 and result.dim() == 2 and len(result) == len(x):
            self._origins[result] = Origin(flattened=(x.shape[2], x.shape[3]))
        elif name in ("pad", "constant_pad_nd") and x.dim() == 4:
            padding = zero_padding(*args, **kwargs)
            if padding is not None:
                self._origins[result] = Origin(source=x, padding=padding)

    def _sum(self, func: Any, args: Any, kwargs: Any, inputs: list[Tensor], result: Tensor) -> Tensor:
        """A constant joins the sum: the constant part, the operation's value at zero, is a bias that no layer holds."""
        with torch.no_grad():
            zero = {id(t): torch.zeros_like(t) for t in inputs}
            value = func(*replaced(args, zero), **{k: replaced(v, zero) for k, v in kwargs.items()})
        if not self.layer_maps or not bool(value.any()) or value.dim() < 2:
            return result
        return self._constant(result, value.expand_as(result).detach().clone())

    def _constant(self, x: Tensor, value: Tensor) -> Tensor:
        size = map_size(x)
        name = self.names.unique(self.names.running() + ".constant")
        affine = ConstantMap(None, None, x.shape, value=value)
        record = LayerRecord(name, "constant", affine, Window.pointwise(size), self._tap(x, size), True, x.shape[1], x.shape[1])
        self.layers.append(record)
        out = ApplyAffine.apply(x, record.tap, lambda: x.detach().clone(), affine, None)
        self._origins[out] = Origin(layers=(len(self.layers) - 1,))
        return out

    # -- bias-carrying layers ------------------------------------------------------------------------------------------------------

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        """Run a layer and note it. Override to change its backward rule."""
        out = ApplyAffine.apply(x, record.tap, forward, record.affine, None)
        self.layers.append(record)
        self._origins[out] = Origin(layers=(len(self.layers) - 1,), source=x)
        return out

    def conv2d(
        self,
        func: Any,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        name = self.names.holder(weight, "conv2d")
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        stride, dilation, kernel = pair(stride), pair(dilation), pair(weight.shape[2:])
        before, after = convolution_padding(padding, kernel, dilation)
        x, padded = input, input
        if before != after:
            # torch pads 'same' on the right where the total is odd.
            padded = self._ordinary(F.pad, (input, (before[1], after[1], before[0], after[0])), {})
        inner = before if before == after else (0, 0)
        origin = self._origins.get(x)
        if origin is not None and origin.padding is not None:
            left, right, top, bottom = origin.padding
            x, before, after = origin.source, (before[0] + top, before[1] + left), (after[0] + bottom, after[1] + right)
        # Padding alike on both sides is the convolution's own; the gradient of the padded map need not be made.
        source, own = (x, before) if before == after else (padded, inner)
        affine = Affine(weight, bias, source.shape, stride=stride, padding=own, dilation=dilation, groups=groups)
        size = output_size(padded.shape, kernel, stride, inner, dilation)
        window = Window(pair(x.shape[2:]), size, kernel, stride, before, dilation)
        taps = weight.shape[1] * kernel[0] * kernel[1]
        record = LayerRecord(self.names.unique(name), "conv", affine, window, self._tap(source, size), bias is not None, len(weight), taps)
        return self.affine(source, lambda: func(padded.detach(), weight, bias, stride, inner, dilation, groups), record)

    def linear(self, func: Any, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.dim() != 2:
            return self.let_through("linear", func(input, weight.detach(), None if bias is None else bias.detach()))
        name = self.names.holder(weight, "linear")
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        origin = self._origins.get(input)
        whole = origin.flattened if origin is not None and origin.flattened is not None else (1, 1)
        affine = Affine(weight, bias, input.shape)
        window = Window.whole(whole)
        record = LayerRecord(
            self.names.unique(name), "linear", affine, window, self._tap(input, (1, 1)), bias is not None, len(weight), weight.shape[1]
        )
        return self.affine(input, lambda: func(input.detach(), weight, bias), record)

    def batch_norm(
        self,
        func: Any,
        input: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        """Evaluation mode, whatever mode the network is in: that is where the theory lives, and nothing is updated."""
        if running_mean is None or running_var is None:
            return self.let_through("batch_norm (without running statistics)", func(input, None, None, weight, bias, True, momentum, eps))
        mean, var = running_mean.detach(), running_var.detach()
        gamma = torch.ones_like(mean) if weight is None else weight.detach()
        beta = torch.zeros_like(mean) if bias is None else bias.detach()
        scale = gamma * torch.rsqrt(var + eps)
        shift = torch.addcmul(beta, mean, scale, value=-1)

        def forward() -> Tensor:
            return F.batch_norm(input.detach(), mean, var, gamma, beta, False, 0.0, eps)

        origin = self._origins.get(input)
        if origin is not None and origin.source is not None and origin.padding is None:
            record = self.layers[origin.layers[0]]
            if record.affine.weight is not None and record.affine.scale is None:
                return self.affine(origin.source, forward, self._folded(record, scale, shift))
        size = map_size(input)
        name = self.names.unique(self.names.holder(weight, "batch_norm") if weight is not None else self.names.running())
        affine = Affine(None, shift, input.shape, scale=scale)
        record = LayerRecord(name, "batch_norm", affine, Window.pointwise(size), self._tap(input, size), True, len(scale), 1)
        return self.affine(input, forward, record)

    def _folded(self, record: LayerRecord, scale: Tensor, shift: Tensor) -> LayerRecord:
        bias = record.affine.bias
        affine = replace(record.affine, scale=scale, bias=shift if bias is None else shift + bias * scale)
        tap = None if record.tap is None else torch.zeros_like(record.tap, requires_grad=True)
        return replace(record, affine=affine, tap=tap, has_bias=True)

    # -- rectifiers ----------------------------------------------------------------------------------------------------------------

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """One rectifier, ``min(max(z, 0), ceiling)``. Override to change its backward rule."""
        origin = self._origins.get(z) or Origin()
        self.rectified.update(origin.layers)
        plain = z.detach()
        out = plain.clamp_(0, ceiling) if inplace else plain.clamp(0, ceiling)
        self.activations += out.numel()
        gate = Gate.of(out, ceiling, guided=self.guided, layer_maps=self.layer_maps)
        if origin.source is not None and origin.padding is None:
            # Directly behind a layer: one step backward does both, and the layer's map takes the saturated units in.
            index = origin.layers[0]
            layer = self.layers[index]
            result = ApplyAffine.apply(origin.source, layer.tap, lambda: out, layer.affine, gate)
        else:
            index, tap = len(self.layers), None
            if gate.saturated is not None:
                tap = self._note_rectifier(z)
            result = Rectify.apply(z, tap, lambda: out, gate)
        if gate.saturated is not None:
            self.saturating.add(index)
        if inplace:
            self._successors[z] = result
        return result

    def _note_rectifier(self, z: Tensor) -> Tensor | None:
        size, channels = map_size(z), z.shape[1]
        record = LayerRecord(
            self.names.unique(self.names.running()),
            "rectifier",
            Affine(None, None, z.shape),
            Window.pointwise(size),
            self._tap(z, size),
            False,
            channels,
            channels,
        )
        self.layers.append(record)
        return record.tap

    def _tap(self, x: Tensor, size: Pair) -> Tensor | None:
        if not self.layer_maps:
            return None
        return torch.zeros(len(x), 1, *size, dtype=x.dtype, device=x.device, requires_grad=True)


def _exact(name: str) -> str:
    return ", and with guided=False the shares of pixels and biases still add up exactly" if name in LEAKY else ""


def _raw_batch_norm(
    tape: Tape, func: Any, input: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, *_: Any
) -> Tensor:
    """``torch.batch_norm`` orders its arguments in another way than ``F.batch_norm``."""
    return tape.batch_norm(F.batch_norm, input, mean, var, weight, bias, training, momentum, eps)


HANDLERS: dict[Any, Callable[..., Tensor]] = {
    **rectifier_calls(),
    torch.conv2d: Tape.conv2d,
    F.linear: Tape.linear,
    F.batch_norm: lambda tape, *args, **kwargs: tape.batch_norm(*args, **kwargs),  # a subclass's own, if it has one
    torch.batch_norm: _raw_batch_norm,
}
