"""The gradient at a picture equals autograd's, whatever the first layer's geometry."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from trgbp_core.thin import thin_input_gradient

GEOMETRIES = [
    (kernel, stride, padding)
    for kernel in (2, 3, 5, 7, 11)
    for stride in (1, 2, 3, 4)
    for padding in (0, 1, kernel // 2)
    if padding < kernel
]


@pytest.mark.parametrize(("kernel", "stride", "padding"), GEOMETRIES)
def test_thin_gradient_equals_autograd(kernel: int, stride: int, padding: int) -> None:
    torch.manual_seed(0)
    for height, width in ((23, 30), (32, 31)):
        x = torch.randn(2, 3, height, width, dtype=torch.float64, requires_grad=True)
        weight = torch.randn(8, 3, kernel, kernel, dtype=torch.float64)
        y = F.conv2d(x, weight, None, stride, padding)
        g = torch.randn_like(y)
        (expected,) = torch.autograd.grad(y, x, g)
        found = thin_input_gradient(g, weight, (height, width), (stride, stride), (padding, padding))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)  # sums of at most 8·121 terms of order one


def test_thin_gradient_of_kernels_and_strides_that_differ_by_axis() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 1, 20, 33, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 1, 3, 6, dtype=torch.float64)
    y = F.conv2d(x, weight, None, (2, 3), (0, 2))
    g = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, x, g)
    torch.testing.assert_close(thin_input_gradient(g, weight, (20, 33), (2, 3), (0, 2)), expected, rtol=1e-12, atol=1e-12)
