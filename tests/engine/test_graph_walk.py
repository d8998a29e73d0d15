"""The walk for many classes against autograd's own engine, operation by operation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trgbp_core.engine.graph_walk import Graph

CLASSES = 3

OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "parts side by side": lambda x: torch.cat([x, x.square(), 2 * x], 1),
    "counted from the end": lambda x: torch.cat([x, x.square()], -3),
    "one below the other": lambda x: torch.cat([x, x.square()], 2),
    "batches": lambda x: torch.cat([x, x.square()], 0),
    "with a constant": lambda x: torch.cat([x, torch.ones_like(x)], 1),
    "three dimensions": lambda x: torch.cat([x.flatten(2), x.flatten(2).square()], -1),
    "average": lambda x: F.avg_pool2d(x, 2),
    "average with a border": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "average without its border": lambda x: F.avg_pool2d(x, (3, 2), 2, 1, True, False),
    "average by another number": lambda x: F.avg_pool2d(x, 2, divisor_override=3),
    "average of one picture": lambda x: F.avg_pool2d(x[0], 2),
    "maximum": lambda x: F.max_pool2d(x, 3, 2, 1),
    "padding": lambda x: F.pad(x, (1, 2, 0, 3)),
    "cropping": lambda x: F.pad(x, (-1, 2, 0, -1)),
    "sum": lambda x: x + x.square(),
    "weighted sum": lambda x: torch.add(x, x.square(), alpha=3),
    "broadcast sum": lambda x: x + x.mean((2, 3), keepdim=True),
}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_the_walk_gives_what_autograd_gives(operation: Callable[[Tensor], Tensor], layout: torch.memory_format) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 7, 6, dtype=torch.float64, generator=generator).contiguous(memory_format=layout).requires_grad_()
    out = operation(2 * x)
    cotangents = torch.randn(CLASSES, *out.shape, dtype=torch.float64, generator=generator)
    expected = torch.stack([torch.autograd.grad(out, x, cotangent, retain_graph=True)[0] for cotangent in cotangents])
    graph = Graph(out)
    for _ in range(2):  # it can be walked again
        (found,) = graph.backward(cotangents, [x])
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
