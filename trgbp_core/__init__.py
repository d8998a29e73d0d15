"""TR-GBP: Theoretical Refinements of Guided BackPropagation."""

from .baselines import METHODS, NotApplicable
from .tape import UnsupportedOperation
from .trgbp import TRGBP, Explanation, Layer

__all__ = ["METHODS", "TRGBP", "Explanation", "Layer", "NotApplicable", "UnsupportedOperation"]
