"""The methods that TR-GBP stands next to, one file a family. :data:`METHODS` lists them all; importing this package fills it."""

from . import tr_gbp, gradients, cam, score_cam, cameras  # noqa: F401, I001 - the order of the page
from .registry import METHODS, Method, NotApplicable, register

__all__ = ["METHODS", "Method", "NotApplicable", "register"]
