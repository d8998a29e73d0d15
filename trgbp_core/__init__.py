"""TR-GBP: Theoretical Refinements of Guided BackPropagation."""

from .data.images import ImageError
from .data.preprocessing import Preprocess
from .data.version import VERSION
from .drawing.render import overlay
from .engine.validation import UnsupportedOperation
from .evaluation.survey.report import survey
from .methods import METHODS, NotApplicable
from .sanity.cascade import Stage, cascade
from .trgbp.explainer import TRGBP, Explanation, Layer
from .zoo.custom import own_model
from .zoo.loading import ModelError, available_models, load_model

__version__ = VERSION

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
    "overlay",
    "own_model",
    "survey",
]
