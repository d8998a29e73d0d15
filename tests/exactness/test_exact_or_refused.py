"""Small networks that a tape may misread: each is exact, or refused with a sentence that says why."""

from __future__ import annotations

import pytest

from . import breaks, endings, hidden, linear, networks, rectifiers
from .cases import Case
from .checks import EXACT, apart, check

CASES = [
    *rectifiers.RELUS,
    *rectifiers.SATURATING,
    *rectifiers.NO_RECTIFIERS,
    *linear.LINEAR,
    *breaks.BREAKS,
    *breaks.CURVED,
    *endings.ENDINGS,
    *networks.NETWORKS,
    *hidden.HIDDEN,
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.kind}: {case.name}" for case in CASES])
def test_exact_or_refused(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", [case for case in CASES if case.twins], ids=lambda case: case.name)
def test_all_spellings_are_one_function(case: Case) -> None:
    """Of the cases themselves: what is to be equal is equal without any explanation."""
    if "always on" in case.name:
        pytest.skip("by itself it draws random numbers")
    x = case.x()
    expected = case.make().eval()(x.clone()).detach()
    for twin in case.twins:
        assert apart(twin().eval()(x.clone()).detach(), expected) < EXACT


def test_every_network_has_a_name_of_its_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
