"""The attribution methods, one file a family. :data:`METHODS` lists them all; importing this package fills it."""

# The order of the page: TR-GBP, then family after family, beginning with those of the six that the paper compares TR-GBP with.
from . import tr_gbp, gradients, paths, fullgrad, bias_backprop, cam, cameras, lrp, deeplift, patterns  # noqa: F401, I001
from .registry import METHODS, Method, NotApplicable, register

__all__ = ["METHODS", "Method", "NotApplicable", "register"]
