"""Methods that weigh the last convolutional activation: by its gradient, by the classifier's weights, or by masking the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ..engine.geometry import upsample
from ..engine.plain_passes import BATCH, for_scores, scores
from ..trgbp.targets import Target, per_picture
from .activation import Activation, record_activation
from .registry import Attribute, NotApplicable, OfActivation, Progress, register


def register_of_activation(key: str, **about: Any) -> Callable[[OfActivation], Attribute]:
    """:func:`register` for a method that is a function ``(activation, x, target)`` of one recorded forward pass."""

    def decorate(rule: OfActivation) -> Attribute:
        def attribute(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
            return rule(record_activation(network, x), x, target)

        attribute.__name__, attribute.__doc__ = key, rule.__doc__
        return register(key, family="activations", of_activation=rule, **about)(attribute)

    return decorate


def _weighted(maps: Tensor, weights: Tensor) -> Tensor:
    """Σ_c w_c A_c, (N, 1, h, w), from ``maps`` (N, C, h, w) and ``weights`` (N, C)."""
    return torch.einsum("nc,nchw->nhw", weights, maps).unsqueeze(1)


def _full_size(maps: Tensor, x: Tensor) -> Tensor:
    """``maps`` (N, 1, h, w), bilinear to the size of the pictures ``x``."""
    return upsample(maps, (x.shape[2], x.shape[3]))


@register_of_activation(
    "grad_cam",
    title="Grad-CAM",
    citation="Selvaraju et al. 2017",
    what="The last convolutional activation, each channel weighed by its mean gradient.",
    promise="Shows where the evidence for the class lies.",
    failure="As coarse as the last layer; blind to anything finer.",
)
def grad_cam(activation: Activation, x: Tensor, target: Target) -> Tensor:
    """relu(Σ_c mean_{ij}(∂f_k/∂A_c) A_c) (Selvaraju et al. 2017, Eqs. 1, 2), bilinear to (N, 1, H, W), not negative."""
    return _full_size(_weighted(activation.maps, activation.gradient(target).mean((2, 3))).relu(), x)


@register_of_activation(
    "grad_cam_pp",
    title="Grad-CAM++",
    citation="Chattopadhay et al. 2018",
    what="Grad-CAM that weighs the gradient's positions by higher derivatives.",
    promise="Finds every instance of the class, small ones too.",
    failure="Counts positive gradients only, so that classes look alike; as coarse as the last layer.",
)
def grad_cam_pp(activation: Activation, x: Tensor, target: Target) -> Tensor:
    """relu(Σ_c w_c A_c), w_c = Σ_ij α_cij relu(g_cij), α = g² / (2g² + Σ_ab A_cab · g³), g = ∂f_k/∂A; (N, 1, H, W), not negative.

    Chattopadhay et al. 2018, Eqs. 10, 15, 19, with their Y = exp(f_k), whose factor falls out of α and only scales the map. α is taken as
    1 / (2 + Σ A · g), without a small constant in the denominator: real gradients squared are as small as such constants are.
    """
    maps, gradient = activation.maps, activation.gradient(target)
    denominator = 2 + maps.sum((2, 3), keepdim=True) * gradient
    alpha = torch.where(denominator == 0, 1, 1 / denominator)
    return _full_size(_weighted(maps, (alpha * gradient.relu()).sum((2, 3))).relu(), x)


@register_of_activation(
    "norm_grad",
    title="NormGrad",
    citation="Rebuffi et al. 2020",
    what="At every position, how much it would change the next layer's weights in training: the activation's length times its gradient's.",
    promise="Shows the positions that matter for training.",
    failure="Lengths have no sign and hardly depend on the class; behind global average pooling the gradient is the same everywhere.",
)
def norm_grad(activation: Activation, x: Tensor, target: Target) -> Tensor:
    """‖A_ij‖₂ · ‖∂f_k/∂A_ij‖₂ over the channels, the Frobenius norm of position ij's contribution to the gradient of a 1×1 convolution.

    Rebuffi et al. 2020, Section 3 (the spatial contribution, aggregated by its norm), with the class score in the place of the loss,
    as the authors' code has it. Bilinear to (N, 1, H, W), not negative.
    """
    lengths = [torch.linalg.vector_norm(maps, dim=1, keepdim=True) for maps in (activation.maps, activation.gradient(target))]
    return _full_size(lengths[0] * lengths[1], x)


@register_of_activation(
    "cam",
    title="CAM",
    citation="Zhou et al. 2016",
    what="The last convolutional activation, each channel weighed by the class's own weight in the last layer.",
    promise="Its mean over the picture is the class score, but for the bias.",
    failure="Only for networks that end in global average pooling and one linear layer.",
    signed=True,
)
def cam(activation: Activation, x: Tensor, target: Target) -> Tensor:
    """Σ_c W_kc A_c (Zhou et al. 2016, Eq. 2), bilinear to (N, 1, H, W), signed.

    Raises:
        NotApplicable: the logits are not ``W · mean_ij A_ij + b`` of the last map A, whatever modules the network is made of.
    """
    weights = _pooled_classifier(activation)[per_picture(target, activation.logits)]
    return _full_size(_weighted(activation.last_map, weights), x)


def _pooled_classifier(activation: Activation) -> Tensor:
    """W (classes, C) of the linear layer behind the global average pooling, recognised by what it computes."""
    pooled, logits = activation.last_map.mean((2, 3)), activation.logits
    classes = logits.argmax(1)
    gradient = activation.last_map_gradient(classes) * activation.last_map[0, 0].numel()
    for layer in reversed(activation.layers):
        affine = layer.affine
        if affine.weight is None or affine.weight.shape[0] != logits.shape[1] or affine.weight[0].numel() != pooled.shape[1]:
            continue
        weight = affine.weight.flatten(1) if affine.scale is None else affine.weight.flatten(1) * affine.scale[:, None]
        predicted = pooled @ weight.T + (0 if affine.bias is None else affine.bias)
        if _close(predicted, logits) and _close(weight[classes][:, :, None, None].expand_as(gradient), gradient):
            return weight
    raise NotApplicable(
        "CAM needs a network that ends in global average pooling and one linear layer; this network's class scores are not a linear "
        "layer of its last map's mean. Grad-CAM is the same idea without this demand."
    )


def _close(a: Tensor, b: Tensor) -> bool:
    """Equal but for the order of float32's sums; another head is off by the size of the values."""
    return float((a - b).abs().max()) <= 1e-4 * float(b.abs().max())


@register(
    "score_cam",
    title="Score-CAM",
    family="activations",
    citation="Wang et al. 2020",
    what="The last convolutional activation, each channel weighed by the class score of the picture seen through it.",
    promise="No gradients: free of their noise and saturation.",
    failure="One forward pass for every channel; the masks are as coarse as the last layer.",
    cost=1300,
)
def score_cam(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None, batch: int = BATCH) -> Tensor:
    """relu(Σ_c softmax_c(f_k(x ∘ H_c) − f_k(0)) A_c), H_c = A_c upsampled, then scaled to [0, 1] (Wang et al. 2020, Eqs. 3-6, Algorithm 1).

    f_k is the class score before the softmax over classes, and the zero picture is one that is zero after normalisation; it falls out
    of the softmax over channels. A channel that is constant masks everything away.

    Args:
        batch: masked pictures that go through the network at a time.

    Returns:
        (N, 1, H, W), not negative.
    """
    activation = record_activation(network, x)
    classes, network = per_picture(target, activation.logits), for_scores(network, x[:1].detach())
    report = progress or (lambda share: None)
    maps = []
    for i, (picture, features) in enumerate(zip(x, activation.maps, strict=True)):

        def done(share: float, before: int = i) -> None:
            report((before + share) / len(x))

        increase = _masked_scores(network, picture, features, batch, done)[:, classes[i]]
        maps.append(_full_size(_weighted(features[None], increase.softmax(0)[None]).relu(), x))
    report(1.0)
    return torch.cat(maps)


def _masked_scores(network: nn.Module, picture: Tensor, features: Tensor, batch: int, progress: Progress) -> Tensor:
    """The logits (C, classes) of ``picture`` (3, H, W) seen through each of the C channels of ``features`` (C, h, w)."""
    alive = (features.amax((1, 2)) > features.amin((1, 2))).nonzero().flatten()

    def masked(start: int, stop: int) -> Tensor:
        progress(start / (len(alive) + 1))
        masks = _full_size(features[alive[start:stop]].unsqueeze(1), picture[None])
        low, high = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        masks = torch.where(high > low, (masks - low) / (high - low), 0)
        constant = masks.new_zeros(max(0, stop - max(start, len(alive))), *masks.shape[1:])  # one for all constant channels, the last
        return picture.detach() * torch.cat([masks, constant])

    logits = scores(network, masked, len(alive) + 1, batch=batch)
    result = logits[-1:].repeat(len(features), 1)
    result[alive] = logits[:-1]
    return result
