"""One recorded forward pass: rectifiers become guided, bias-carrying layers are noted.

A :class:`torch.overrides.TorchFunctionMode`, active for one call of the network, sees every operation however it is called: by a module,
a reused module, in place, as a function or a tensor method. Nothing of the network is touched, and the mode belongs to its thread,
so that many threads may record the same network at once. The tape knows nothing of classes or pictures.

What is recorded (Section 4.1, Eq. 8):

- a convolution or linear layer, with the batch norm that consumes its output folded in, ``b' = β + (b − μ)·s``, ``s = γ/√(σ²+ε)``;
- a batch norm that follows no such layer, and a constant that is added on the way: 1×1 layers of their own;
- the constants of saturated units (ReLU6's 6, or whatever bounds there are), with the layer that the rectifier directly follows, or as a
  1×1 layer of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from .geometry import Window, convolution_padding, output_size, per_axis, sees_nothing
from .layers import LayerRecord, Origin
from .passthrough import Passthrough
from .rectifiers import Gate, rectifier_calls
from .rules import Affine, ApplyLayer
from .torch_ops import depends, detached, is_part, tensors


@dataclass
class Tape(Passthrough):
    """The mode itself. :func:`record` is the way to use it; subclasses change a rule by overriding its method.

    Args:
        network: the network that is explained. ``self.network``, a copy of its modules in evaluation mode, is the one to call.
        guided: Eq. 4 at rectifiers, or the ordinary gradient, where autograd's own engine goes backward.
        layer_maps: note bias-carrying layers.
        strict: refuse operations that the theory does not cover; otherwise they keep their ordinary gradient and are listed.
    """

    __hash__ = object.__hash__

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for t in tensors(args, kwargs):
            if isinstance(t.grad_fn, BackwardCFunction):
                self.unfold_checkpoint(t)
        if self.notes.transformed(args, kwargs):
            raise self._stop(getattr(func, "__name__", str(func)), "called by torch.vmap or the like, which hides what it makes")
        if len(self._successors):
            args, kwargs = self.current(args), self.current(kwargs)
        handler = HANDLERS.get(func) if torch.is_grad_enabled() else None
        if handler is not None and any(depends(a) for a in tensors(args, kwargs)):
            return handler(self, func, *args, **kwargs)
        # A parameter is a constant here; detached, it cannot be taken for something that depends on the picture.
        return self._ordinary(func, detached(args), detached(kwargs))

    def unfold_checkpoint(self, result: Tensor) -> None:
        """What a reentrant checkpoint computed where autograd does not look is computed once more, on the tape."""
        node: Any = result.grad_fn
        if type(node).__name__ != "CheckpointFunctionBackward" or result in self._successors:
            return
        if node not in self._unfolded:
            inputs = list(node.inputs)
            for index, tensor in zip(node.tensor_indices, node.saved_tensors, strict=True):
                inputs[index] = tensor
            with torch.enable_grad(), self:
                self._unfolded[node] = node.run_function(*inputs)
        computed = self._unfolded[node]
        self._successors[result] = computed if isinstance(computed, Tensor) else computed[result.output_nr]

    # -- bias-carrying layers ------------------------------------------------------------------------------------------------------

    def affine(self, x: Tensor, forward: Callable[[], Tensor], record: LayerRecord) -> Tensor:
        """Run a layer and note it. Override to change its backward rule."""
        out = ApplyLayer.apply(x, record.tap, forward, record.affine, None, self.guided)
        self.layers.append(record)
        self._origins[out] = Origin(layers=(len(self.layers) - 1,), source=x)
        self.notes.set_spatial(out, self.notes.axes[::-1] if record.transposed else record.affine.spatial)
        return out

    def convolution(
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
        """Over as many axes as the network's input has; over others it is an ordinary linear operation."""
        if not input.dim() == weight.dim() == self.notes.dims or not self.is_constant(weight) or not self.is_constant(bias):
            return self._ordinary(func, detached((input, weight, bias, stride, padding, dilation, groups)), {})  # type: ignore[no-any-return]
        name, count = self.names.unique(self.names.holder(weight, func.__name__)), len(self.notes.axes)
        weight, bias = weight.detach(), None if bias is None else bias.detach()
        stride, dilation, kernel = per_axis(stride, count), per_axis(dilation, count), tuple(weight.shape[2:])
        before, after = convolution_padding(padding, kernel, dilation)
        x, padded = input, input
        if before != after:
            # torch pads 'same' on the right where the total is odd.
            widths = [width for both in zip(before[::-1], after[::-1], strict=True) for width in both]
            padded = self._ordinary(F.pad, (input, widths), {})
        inner = before if before == after else (0,) * count
        origin = self._origins.get(x)
        if origin is not None and origin.padding is not None and origin.source is not None:
            x, around = origin.source, origin.padding[::-1]  # (…, bottom, top, right, left)
            before = tuple(b + width for b, width in zip(before, around[1::2], strict=True))
            after = tuple(a + width for a, width in zip(after, around[::2], strict=True))
        # Padding alike on both sides is the convolution's own; the gradient of the padded map need not be made.
        source, own = (x, before) if before == after else (padded, inner)
        seen, usual = self.notes.spatial(input), self.notes.axes
        transposed = count == 2 and seen == usual[::-1]
        # What parts of a picture make lies nowhere in it; of a volume whose axes have changed places, it is not said where.
        axes = usual if len(input) == self.notes.pictures and (count < 3 or seen == usual) else None
        affine = Affine(weight, bias, source.shape, stride=stride, padding=own, dilation=dilation, groups=groups, spatial=axes)
        size = output_size(padded.shape, kernel, stride, inner, dilation) if axes else (1,) * count
        window = Window(tuple(x.shape[2:]), size, kernel, stride, before, dilation) if axes else Window.pointwise(size)
        tap = None if bias is None else self._tap(source, size)
        record = LayerRecord(name, "conv", affine, window, tap, bias is not None, len(weight), weight.shape[1:].numel(), transposed)
        out = self.affine(source, lambda: func(padded, weight, bias, stride, inner, dilation, groups), record)
        if sees_nothing(tuple(x.shape[2:]), tuple(out.shape[2:]), kernel, stride, before, dilation):
            self.notes.mixed[out] = (input,)
        return out

    def linear(self, func: Any, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Behind a flatten, a convolution over the whole map; over the last axis of (N, h, w, C), a 1×1 convolution."""
        if weight.dim() != 2 or input.dim() < 2 or not self.is_constant(weight) or not self.is_constant(bias):
            return self._ordinary(func, (input, weight, bias), {})  # type: ignore[no-any-return]
        name, weight, bias = self.names.holder(weight, "linear"), weight.detach(), None if bias is None else bias.detach()
        origin = self._origins.get(input)
        axes = self.notes.spatial(input)
        axes = None if axes is None or input.dim() - 1 in axes else axes
        if axes is not None:
            window = Window.pointwise(self.notes.map_size(input))
        else:
            nowhere = (1,) * len(self.notes.axes)
            window = Window.whole(origin.flattened if origin is not None and origin.flattened is not None else nowhere)
        affine = Affine(weight, bias, input.shape, spatial=axes)
        tap = None if bias is None else self._tap(input, window.output_size)
        record = LayerRecord(self.names.unique(name), "linear", affine, window, tap, bias is not None, len(weight), weight.shape[1])
        return self.notes.stays_mixed(self.affine(input, lambda: func(input, weight, bias), record), input)

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
        if running_mean is None or running_var is None or not all(map(self.is_constant, (running_mean, running_var, weight, bias))):
            return self._ordinary(_batch_statistics, (input, None, None, weight, bias, True, momentum, eps), {})  # type: ignore[no-any-return]
        with torch.no_grad():
            gamma = torch.ones_like(running_mean) if weight is None else weight
            beta = torch.zeros_like(running_mean) if bias is None else bias
            scale = gamma * torch.rsqrt(running_var + eps)
            shift = torch.addcmul(beta, running_mean, scale, value=-1)

        def forward() -> Tensor:
            return F.batch_norm(input, running_mean, running_var, gamma, beta, False, 0.0, eps)

        origin = self._origins.get(input) or Origin()
        layer = None if origin.source is None or origin.padding is not None else self.layers[origin.layers[0]]
        if layer is not None and origin.source is not None and layer.affine.weight is not None and layer.affine.scale is None:
            out = self.affine(origin.source, forward, self._folded(layer, input, scale, shift))
        else:
            axes, size = self.notes.spatial(input), self.notes.map_size(input)
            name = self.names.unique(self.names.holder(weight, "batch_norm") if weight is not None else self.names.running())
            affine = Affine(None, shift, input.shape, scale=scale, spatial=axes)
            tap = self._tap(input, size)
            out = self.affine(input, forward, LayerRecord(name, "batch_norm", affine, Window.pointwise(size), tap, True, len(scale), 1))
        self.notes.copy(out, input)
        return out

    def _folded(self, record: LayerRecord, z: Tensor, scale: Tensor, shift: Tensor) -> LayerRecord:
        bias = record.affine.bias
        affine = replace(record.affine, scale=scale, bias=shift if bias is None else torch.addcmul(shift, bias, scale))
        return replace(record, affine=affine, tap=self._tap(z, record.window.output_size), has_bias=True)

    # -- rectifiers ----------------------------------------------------------------------------------------------------------------

    def rectify(self, z: Tensor, ceiling: float, inplace: bool) -> Tensor:
        """One rectifier, ``min(max(z, 0), ceiling)``. Override to change its backward rule."""

        def state(z: Tensor) -> tuple[Tensor, Gate]:
            out = z.clamp(0, ceiling)  # never in place: a maximum's node may need the values from before
            return out, Gate.below(ceiling, out, layer_maps=self.layer_maps)

        return self._rectified(z, state, inplace)

    def between(self, z: Tensor, low: Any, high: Any, inplace: bool) -> Tensor | None:
        """``min(max(z, low), high)`` for constants, numbers or tensors, None for no bound: open between the two, else constant.

        ``min(z, 0)`` is the rectifier that looks the other way, ``-max(-z, 0)``. None is returned where a bound depends on the picture, and
        by tapes with a rule of their own, which is one for rectifiers from 0.
        """
        if self._is_zero(low) and not isinstance(high, Tensor):
            return self.rectify(z, math.inf if high is None else float(high), inplace)
        if low is None and self._is_zero(high):
            return self.flipped(z, inplace)
        if type(self).rectify is not Tape.rectify or not (self.is_constant(low) and self.is_constant(high)):
            return None
        bounds = [t for t in (low, high) if isinstance(t, Tensor)]
        if bounds and (shape := torch.broadcast_shapes(z.shape, *(t.shape for t in bounds))) != z.shape:
            z = self._ordinary(Tensor.expand, (z, *shape), {})

        def state(z: Tensor) -> tuple[Tensor, Gate]:
            out, passing = z, torch.ones_like(z, dtype=torch.bool)
            if low is not None:
                out, passing = torch.maximum(out, torch.as_tensor(low, dtype=z.dtype, device=z.device)), passing & (z > low)
            if high is not None:
                out, passing = torch.minimum(out, torch.as_tensor(high, dtype=z.dtype, device=z.device)), passing & (z < high)
            return out, Gate.where(out, passing, layer_maps=self.layer_maps)

        return self._rectified(z, state, inplace, bounds)

    def _is_zero(self, bound: Any) -> bool:
        return self.is_constant(bound) and not bool(bound.any()) if isinstance(bound, Tensor) else bound == 0

    def threshold(self, z: Tensor, threshold: float, value: float, inplace: bool) -> Tensor | None:
        """``z`` where it is above ``threshold``, else ``value``: open above it, else constant. None as in :meth:`between`."""
        if threshold == value == 0:
            return self.rectify(z, math.inf, inplace)
        if type(self).rectify is not Tape.rectify:
            return None

        def state(z: Tensor) -> tuple[Tensor, Gate]:
            out = torch.where(z > threshold, z, value)
            return out, Gate.where(out, z > threshold, layer_maps=self.layer_maps)

        return self._rectified(z, state, inplace)

    def _rectified(self, z: Tensor, state: Callable[[Tensor], tuple[Tensor, Gate]], inplace: bool, bounds: Sequence[Tensor] = ()) -> Tensor:
        """The output of the rectifier that ``state`` computes from its input, with its gate and its backward rule."""
        if inplace and is_part(z):
            return self.replace(z, self._rectified(z, state, False, bounds))
        if not z.dim():
            number: Tensor = self._ordinary(Tensor.reshape, (self._rectified(z.reshape(1), state, False, bounds), ()), {})
            return self.replace(z, number) if inplace else number
        with torch.no_grad():
            out, gate = state(z)
        origin = self._origins.get(z) or Origin()
        self.rectified.update(origin.layers)
        self.gates.append(gate)
        with torch.enable_grad():
            if origin.source is not None and origin.padding is None:
                # Directly behind a layer: one step backward does both, and the layer's map takes the saturated units in.
                index = origin.layers[0]
                layer = self.layers[index]
                if gate.saturates and layer.tap is None:
                    layer = self.layers[index] = replace(layer, tap=self._tap(z, layer.window.output_size))
                result = ApplyLayer.apply(origin.source, layer.tap, lambda: out, layer.affine, gate, self.guided)
            else:
                index = len(self.layers)
                tap = self._layer_alone("rectifier", z).tap if gate.saturates else None
                identity = Affine(None, None, z.shape, spatial=self.notes.spatial(z))
                result = ApplyLayer.apply(z, tap, lambda: out, identity, gate, self.guided)
        if gate.saturates:
            self.saturating.add(index)
        result.grad_fn.constants += (*bounds,)  # type: ignore[union-attr]
        self.notes.copy(result, z)
        if inplace:
            self._successors[z] = result
        return result


def _batch_statistics(*args: Any) -> Tensor:
    return F.batch_norm(*args)


_batch_statistics.__name__ = "batch_norm (without running statistics)"


def _raw_batch_norm(
    tape: Tape, func: Any, input: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, momentum: float, eps: float, *_: Any
) -> Tensor:
    """``torch.batch_norm`` orders its arguments in another way than ``F.batch_norm``."""
    return tape.batch_norm(F.batch_norm, input, mean, var, weight, bias, training, momentum, eps)


HANDLERS: dict[Any, Callable[..., Any]] = {
    **rectifier_calls(),
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), Tape.convolution),
    F.linear: Tape.linear,
    F.batch_norm: lambda tape, *args, **kwargs: tape.batch_norm(*args, **kwargs),  # a subclass's own, if it has one
    torch.batch_norm: _raw_batch_norm,
}
