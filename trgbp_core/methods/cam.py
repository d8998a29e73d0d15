"""Methods that weigh the last convolutional activation with its gradient or with the classifier's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..engine.geometry import upsample
from ..trgbp.targets import Target, per_picture
from .activation import Activation, last_activation, record_activation
from .registry import NotApplicable, Progress, register

__all__ = ["cam", "grad_cam", "grad_cam_pp", "last_activation", "norm_grad"]


def _grad_cam(activation: Activation, x: Tensor, target: Target) -> Tensor:
    return weighted(activation.maps, _gradient(activation, target).mean((2, 3)), x)


@register(
    "grad_cam",
    title="Grad-CAM",
    family="activations",
    citation="Selvaraju et al. 2017",
    what="The last convolutional activation, each channel weighed by its mean gradient.",
    promise="Shows where the evidence for the class lies.",
    failure="As coarse as the last layer; blind to anything finer.",
    of_activation=_grad_cam,
)
def grad_cam(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """relu(Σ_c mean_{ij}(∂f_k/∂A_c) A_c) (Selvaraju et al. 2017, Eqs. 1, 2), bilinear to (N, 1, H, W), not negative."""
    return _grad_cam(record_activation(network, x), x, target)


def _grad_cam_pp(activation: Activation, x: Tensor, target: Target) -> Tensor:
    maps, gradient = activation.maps, _gradient(activation, target)
    denominator = 2 + maps.sum((2, 3), keepdim=True) * gradient
    alpha = torch.where(denominator == 0, 1, 1 / denominator)
    return weighted(maps, (alpha * gradient.relu()).sum((2, 3)), x)


@register(
    "grad_cam_pp",
    title="Grad-CAM++",
    family="activations",
    citation="Chattopadhay et al. 2018",
    what="Grad-CAM that weighs the gradient's positions by higher derivatives.",
    promise="Finds every instance of the class, small ones too.",
    failure="Counts positive gradients only, so that classes look alike; as coarse as the last layer.",
    of_activation=_grad_cam_pp,
)
def grad_cam_pp(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """relu(Σ_c w_c A_c), w_c = Σ_ij α_cij relu(g_cij), α = g² / (2g² + Σ_ab A_cab · g³), g = ∂f_k/∂A.

    Chattopadhay et al. 2018, Eqs. 10, 15, 19, with their Y = exp(f_k), whose factor falls out of α and only scales the map. α is taken as
    1 / (2 + Σ A · g), without a small constant in the denominator: real gradients squared are as small as such constants are.

    Returns:
        (N, 1, H, W), not negative.
    """
    return _grad_cam_pp(record_activation(network, x), x, target)


def _norm_grad(activation: Activation, x: Tensor, target: Target) -> Tensor:
    lengths = [torch.linalg.vector_norm(maps, dim=1) for maps in (activation.maps, _gradient(activation, target))]
    return upsample((lengths[0] * lengths[1]).unsqueeze(1), (x.shape[2], x.shape[3]))


@register(
    "norm_grad",
    title="NormGrad",
    family="activations",
    citation="Rebuffi et al. 2020",
    what="At every position, how much the last activation would teach the next weights: its length times its gradient's.",
    promise="Shows the positions that matter for training.",
    failure="Lengths have no sign and hardly know the class; behind global average pooling the gradient is the same everywhere.",
    of_activation=_norm_grad,
)
def norm_grad(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """‖A_ij‖₂ · ‖∂f_k/∂A_ij‖₂ over the channels, the Frobenius norm of position ij's contribution to the gradient of a 1×1 convolution.

    Rebuffi et al. 2020, Section 3 (the spatial contribution, aggregated by its norm), with the class score in the place of the loss,
    as the authors' code has it. Bilinear to (N, 1, H, W), not negative.
    """
    return _norm_grad(record_activation(network, x), x, target)


def _cam(activation: Activation, x: Tensor, target: Target) -> Tensor:
    classes = per_picture(target, activation.logits)
    weight = _pooled_classifier(activation)
    maps = torch.einsum("nc,nchw->nhw", weight[classes], activation.last_map)
    return upsample(maps.unsqueeze(1), (x.shape[2], x.shape[3]))


@register(
    "cam",
    title="CAM",
    family="activations",
    citation="Zhou et al. 2016",
    what="The last convolutional activation, each channel weighed by the class's own weight in the last layer.",
    promise="Its mean over the picture is the class score, but for the bias.",
    failure="Only for networks that end in global average pooling and one linear layer.",
    signed=True,
    of_activation=_cam,
)
def cam(network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor:
    """Σ_c W_kc A_c (Zhou et al. 2016, Eq. 2), bilinear to (N, 1, H, W), signed.

    Raises:
        NotApplicable: the logits are not ``W · mean_ij A_ij + b`` of the last map A, whatever modules the network is made of.
    """
    return _cam(record_activation(network, x), x, target)


def _gradient(activation: Activation, target: Target) -> Tensor:
    return activation.gradient(per_picture(target, activation.logits))


def weighted(activation: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    """relu(Σ_c w_c A_c), ``activation`` (N, C, h, w) and ``weights`` (N, C), bilinear to the size of ``x``."""
    maps = torch.einsum("nc,nchw->nhw", weights, activation).relu()
    return upsample(maps.unsqueeze(1), (x.shape[2], x.shape[3]))


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
