"""What every attribution method looks like from outside, and the list of them all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from ..engine.validation import NotApplicable
from ..trgbp.targets import Target

if TYPE_CHECKING:
    from .activation import Activation

__all__ = ["METHODS", "Attribute", "Method", "NotApplicable", "Progress", "register"]

SLOW = 40
"""Forward passes from which on a method is called slow."""

Progress = Callable[[float], None]
OfActivation = Callable[["Activation", Tensor, Target], Tensor]


class Attribute(Protocol):
    """``(network, x, target) -> (N, 1, H, W)``: one map for each picture, signed where the method's authors sign it."""

    def __call__(self, network: nn.Module, x: Tensor, target: Target = None, *, progress: Progress | None = None) -> Tensor: ...


@dataclass(frozen=True)
class Method:
    """One attribution method.

    Attributes:
        key: its name in :data:`METHODS`. title: its name on the page.
        family: ``gradients``, ``paths``, ``activations``, ``biases``, ``propagation``, ``references`` or ``patterns``.
        citation: authors and year. what: what it does, in one line. promise: what its authors promise. failure: its known failure.
        attribute: ``(network, x, target=None, *, progress=None) -> (N, 1, H, W)``. ``progress`` is called with the share done, 0 to 1;
            it may raise to cancel. Raises :class:`NotApplicable` where the method's assumptions exclude the network. Two threads may run
            it at once.
        signed: its authors show both signs, so that it is drawn with a colour map for both; else relu is shown.
        cost: about how many forward passes it takes, for putting the fast ones first.
        of_activation: ``(activation, x, target)``, the same map from a forward pass that was recorded already, for methods that need only
            its last activation.
    """

    key: str
    title: str
    family: str
    citation: str
    what: str
    promise: str
    failure: str
    attribute: Attribute
    signed: bool = False
    cost: float = 10.0
    of_activation: OfActivation | None = None


ABOUT = """All attribution methods by key; an unknown key's error names the nearest.

``METHODS[key].attribute(network, x, target)`` gives one map for each picture, (N, 1, H, W); ``METHODS[key].promise`` and ``.failure`` say
what it promises and how it is known to fail.
"""


class Methods(dict[str, Method]):
    __doc__ = ABOUT

    def __repr__(self) -> str:
        return f"<{len(self)} attribution methods: {', '.join(self)}>"

    def __missing__(self, key: object) -> Method:
        raise KeyError(self.unknown(key))

    def unknown(self, key: object) -> str:
        """That there is no such method, and which is the nearest."""
        wanted = re.sub(r"\W+", "_", str(key).lower())
        by_letters = {known.replace("_", ""): known for known in self}
        near = get_close_matches(wanted.replace("_", ""), by_letters, n=1, cutoff=0.5)
        hint = f"; did you mean {by_letters[near[0]]!r}?" if near else f"; the methods are {', '.join(self)}."
        return f"There is no method {key!r}{hint}"


METHODS = Methods()


def register(key: str, **about: Any) -> Callable[[Attribute], Attribute]:
    """Put the decorated function into :data:`METHODS` under ``key``; ``about`` are the other fields of :class:`Method`."""

    def decorate(attribute: Attribute) -> Attribute:
        if key in METHODS:
            raise ValueError(f"There is a method {key!r} already.")
        METHODS[key] = Method(key, attribute=attribute, **about)
        Methods.__doc__ = "\n".join([ABOUT, *(f"{key}: {method.title}. {method.what}" for key, method in METHODS.items())])
        return attribute

    return decorate
