"""TR-GBP: Theoretical Refinements of Guided BackPropagation."""

from .baselines import METHODS, NotApplicable
from .images import ImageError
from .models import ModelError, available_models, load_model
from .tape import UnsupportedOperation
from .trgbp import TRGBP, Explanation, Layer

__all__ = [
    "METHODS",
    "TRGBP",
    "Explanation",
    "ImageError",
    "Layer",
    "ModelError",
    "NotApplicable",
    "UnsupportedOperation",
    "available_models",
    "load_model",
]
