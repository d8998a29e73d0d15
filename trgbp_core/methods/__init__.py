"""The methods that TR-GBP stands next to, one file a family. :data:`METHODS` lists them all; importing this package fills it."""

# The order of the page: TR-GBP, then the six that the paper compares it with and their families.
from . import tr_gbp, gradients, guided_ig, fullgrad, cam, cameras, paths, score_cam, biases, propagation, deeplift, patterns  # noqa: F401, I001
from .registry import METHODS, Method, NotApplicable, register

__all__ = ["METHODS", "Method", "NotApplicable", "register"]
