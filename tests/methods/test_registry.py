"""The list of methods: what it says of itself, and of a name that it does not hold."""

from __future__ import annotations

import pydoc

import pytest

from trgbp_core import METHODS
from trgbp_core.evaluation.settings import chosen_methods
from trgbp_core.page.layout import known_methods


@pytest.mark.parametrize(
    ("wrong", "near"), [("gradcam", "grad_cam"), ("Guided Backprop", "guided_backprop"), ("smoothgrad", "smooth_grad")]
)
def test_an_unknown_method_names_the_nearest_wherever_it_is_asked_for(wrong: str, near: str) -> None:
    with pytest.raises(KeyError, match=f"did you mean '{near}'"):
        METHODS[wrong]
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        known_methods([wrong])
    with pytest.raises(ValueError, match=f"did you mean '{near}'"):
        chosen_methods([wrong])


def test_help_lists_every_method_before_what_a_dict_can_do() -> None:
    text = pydoc.render_doc(METHODS, renderer=pydoc.plaintext)
    own = text[: text.index("Method resolution order")]
    assert all(f"{key}: {method.title}. {method.what}" in own for key, method in METHODS.items())
    assert repr(METHODS).startswith(f"<{len(METHODS)} attribution methods: tr_gbp, ")
