"""TR-GBP: Theoretical Refinements of Guided BackPropagation."""

from .baselines import METHODS, NotApplicable
from .cascade import Stage, cascade
from .images import ImageError
from .models import ModelError, available_models, load_model
from .own import own_model
from .passthrough import UnsupportedOperation
from .preprocessing import Preprocess
from .trgbp import TRGBP, Explanation, Layer

__all__ = [
    "METHODS",
    "TRGBP",
    "Explanation",
    "ImageError",
    "Layer",
    "ModelError",
    "NotApplicable",
    "Preprocess",
    "Stage",
    "UnsupportedOperation",
    "available_models",
    "cascade",
    "load_model",
    "own_model",
]
