"""``app.py`` with a network that passes its trial and then breaks in the forward pass, and one that wants more memory than there is."""

from __future__ import annotations

import sys

import torch
from torch import Tensor, nn

import app
from trgbp_core import own_model
from trgbp_core.models import Zoo
from trgbp_core.preprocessing import Preprocess


class Breaks(nn.Module):
    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault
        self.tried = False
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        if self.tried:
            raise self.fault
        self.tried = True
        return self.layers(x)


def zoo(fault: Exception) -> Zoo:
    torch.manual_seed(0)
    return own_model(Breaks(fault), ["a", "b", "c"], preprocess=Preprocess(size=32, resize=None))


if __name__ == "__main__":
    faults = {"breaks": RuntimeError("a fault of its own"), "hungry": RuntimeError("DefaultCPUAllocator: not enough memory")}
    app.launch(sys.argv[1:], models={name: zoo(fault) for name, fault in faults.items()})
