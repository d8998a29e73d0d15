"""TR-GBP: Theoretical Refinements of Guided BackPropagation."""

from .baselines import METHODS, NotApplicable
from .cascade import Stage, cascade
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
    "Stage",
    "UnsupportedOperation",
    "available_models",
    "cascade",
    "load_model",
]
