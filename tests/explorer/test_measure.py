"""What the Measure tab shows is what the measures say."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch

from trgbp_core.data import examples, images
from trgbp_core.explorer import measure
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.metrics.localisation import ebpg, ibd
from trgbp_core.metrics.perturbation import perturbation_curve

PICTURE = Path(__file__).parents[2] / "assets" / "examples" / "cheetah.jpg"


@pytest.fixture(scope="module")
def explorer():
    return Explorer()


@pytest.fixture(scope="module")
def question(explorer):
    return explorer.ask(images.read(PICTURE), "efficientnet_lite0")


def test_cells_add_up_to_ebpg_of_boxes_on_the_grid():
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for side in (224, 299, 32):
        map = torch.randn(1, 1, side, side, generator=generator)
        shares = measure.cell_shares(map)
        assert abs(shares.sum() - 1) < 1e-5
        for box in ((0, 0, 28, 56), (8, 16, 40, 44), (20, 3, 56, 30)):
            left, top, right, bottom = box
            expected = float(ebpg(map, [edge / measure.CELLS for edge in box], "fractions"))
            worst = max(worst, abs(float(shares[top:bottom, left:right].sum()) - expected))
    print(f"largest difference {worst:.1e}")
    assert worst < 1e-5  # float32 shares of 3,136 cells


def test_an_empty_map_has_no_shares():
    assert measure.cell_shares(-torch.ones(1, 1, 8, 8)).sum() == 0


def test_every_example_has_boxes_inside_the_picture_that_the_network_sees_and_names_classes_that_exist(explorer, question):
    assert set(examples.boxes()) == set(examples.pictures())
    for name, path in examples.pictures().items():
        picture, found = images.read(path), examples.boxes()[name]
        assert not found[0].classes, "the first is that of every class"
        for box in found:
            left, top, right, bottom = box.edges
            assert 0 <= left < right <= 1, name
            assert 0 <= top < bottom <= 1, name
            assert set(box.classes) <= set(question.zoo.labels)
            first = measure.first_box(question, picture, box.classes[0] if box.classes else "any")
            assert first["thing"] == box.thing
            assert all(0 <= edge <= 1 for edge in first["edges"])
            measure.scores(torch.rand(1, 1, 16, 16), first["edges"])
    assert measure.first_box(question, images.read(PICTURE).rotate(90), "cheetah") == {"edges": list(measure.MIDDLE), "thing": ""}


@pytest.mark.parametrize("box", [(0, 0, 1), (-0.1, 0, 1, 1), (0, 0, 1.2, 1), (0.5, 0.5, 0.5, 0.6)])
def test_a_box_that_is_none_gets_a_sentence(box):
    with pytest.raises(ValueError, match=r"box"):
        measure.scores(torch.rand(1, 1, 16, 16), box)


def test_the_tab_shows_the_measures_of_the_maps(explorer, question):
    k = explorer.top(question)[0][0]
    located = {p["key"]: p for p in measure.locate(explorer, question, k, ["saliency", "tr_gbp", "cam"])}
    for key in ("saliency", "tr_gbp"):
        map = explorer.attribution(question, k, key)
        assert located[key]["ibd"] == pytest.approx(float(ibd(map)), abs=1e-6)
        shares = np.frombuffer(base64.b64decode(located[key]["shares"]), "<f4")
        np.testing.assert_array_equal(shares.reshape(measure.CELLS, -1), measure.cell_shares(map))
    seen = []
    (curves,) = measure.perturb(explorer, question, k, ["saliency"], lambda what, share: seen.append(share) if what else None)
    black = question.zoo.preprocess.black
    expected = perturbation_curve(question.zoo.network, question.x, explorer.attribution(question, k, "saliency"), k, fill=black)
    np.testing.assert_allclose(curves["morf"], expected.change[0], atol=1e-5)
    assert curves["morf_area"] == pytest.approx(float(expected.area()), abs=1e-5)
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_curves_can_be_stopped(explorer, question):
    class Stop(Exception):
        pass

    def stop(what, share):
        raise Stop

    with pytest.raises(Stop):
        list(measure.perturb(explorer, question, explorer.top(question)[1][0], ["saliency"], stop))
