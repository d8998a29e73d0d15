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
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .backward import Affine, ApplyAffine, Gate, Rectify
from .geometry import Window
from .operations import (
    convolution_padding,
    depends,
    detached,
    map_size,
    output_size,
    pair,
    rectifier_calls,
    tensors,
)
from .passage import Passage
from .records import LayerRecord, Origin


@dataclass
class Tape(Passage):
    """The mode itself. :func:`record` is the way to use it; subclasses change a rule by overriding its method.

    Args:
        network: the network that will be called; only its names are read.
        guided: Eq. 4 at rectifiers, or the ordinary gradient.
        layer_maps: note bias-carrying layers.
        strict: refuse operations that the theory does not cover; otherwise they keep their ordinary gradient and are listed.

    ``picture`` is what the network is called with, as :func:`record` sets it.
    """

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
        tap = None if bias is None else self._tap(source, size)
        record = LayerRecord(self.names.unique(name), "conv", affine, window, tap, bias is not None, len(weight), taps)

        def forward() -> Tensor:
            return func(padded.detach(), weight, bias, stride, inner, dilation, groups)  # type: ignore[no-any-return]

        return self.affine(source, forward, record)

    def linear(self, func: Any, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.dim() != 2:
            return self.let_through("linear", func(input, weight.detach(), None if bias is None else bias.detach()))
        name = self.names.holder(weight, "linear")
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        origin = self._origins.get(input)
        whole = origin.flattened if origin is not None and origin.flattened is not None else (1, 1)
        affine = Affine(weight, bias, input.shape)
        window = Window.whole(whole)
        tap = None if bias is None else self._tap(input, (1, 1))
        record = LayerRecord(self.names.unique(name), "linear", affine, window, tap, bias is not None, len(weight), weight.shape[1])
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
                return self.affine(origin.source, forward, self._folded(record, input, scale, shift))
        size = map_size(input)
        name = self.names.unique(self.names.holder(weight, "batch_norm") if weight is not None else self.names.running())
        affine = Affine(None, shift, input.shape, scale=scale)
        record = LayerRecord(name, "batch_norm", affine, Window.pointwise(size), self._tap(input, size), True, len(scale), 1)
        return self.affine(input, forward, record)

    def _folded(self, record: LayerRecord, z: Tensor, scale: Tensor, shift: Tensor) -> LayerRecord:
        bias = record.affine.bias
        affine = replace(record.affine, scale=scale, bias=shift if bias is None else shift + bias * scale)
        return replace(record, affine=affine, tap=self._tap(z, record.window.output_size), has_bias=True)

    # -- rectifiers ----------------------------------------------------------------------------------------------------------------

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """One rectifier, ``min(max(z, 0), ceiling)``. Override to change its backward rule."""
        origin = self._origins.get(z) or Origin()
        self.rectified.update(origin.layers)
        plain = z.detach()
        out = plain.clamp_(0, ceiling) if inplace else plain.clamp(0, ceiling)
        gate = Gate.of(out, ceiling, guided=self.guided, layer_maps=self.layer_maps)
        self.gates.append(gate)
        if origin.source is not None and origin.padding is None:
            # Directly behind a layer: one step backward does both, and the layer's map takes the saturated units in.
            index = origin.layers[0]
            layer = self.layers[index]
            if gate.saturated is not None and layer.tap is None:
                layer = self.layers[index] = replace(layer, tap=self._tap(z, layer.window.output_size))
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
