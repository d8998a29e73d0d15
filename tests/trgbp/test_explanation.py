"""An explanation: why one class rather than another, what each layer gives to a place, and how it is named, kept, moved and drawn."""

from __future__ import annotations

import io
import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from trgbp_core import TRGBP, Explanation, load_model
from trgbp_core.metrics.localisation import box_mask

from ..support.documents import ROOT
from ..support.nets import NETS, Plain, Residual, picture, randomise

CHEETAH, LION = 293, 291
BOXES = [(0, 0, 1, 1), (0, 0, 0.5, 1), (0.3, 0.4, 0.7, 0.9), (0.501, 0.501, 0.505, 0.505)]
PSIS = ["paper", "conserving"]


@pytest.fixture(scope="module")
def mosaic() -> Explanation:
    """A cheetah in the left half, a lion in the right one."""
    zoo = load_model("efficientnet_lite0")
    x = zoo.preprocess(ROOT / "assets" / "examples" / "cheetah_and_lion.jpg")
    return TRGBP(zoo.network).explain(x, [CHEETAH, LION, 0])


@pytest.fixture(scope="module")
def small() -> Explanation:
    return TRGBP(randomise(Plain())).explain(picture(), [6, 2])


# -- contrast ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("psi", PSIS)
def test_a_contrast_is_the_difference_of_two_raw_maps_and_turns_its_sign_with_them(mosaic: Explanation, psi: str) -> None:
    found = mosaic.contrast(LION, against=CHEETAH, psi=psi)
    assert found.shape == (1, 1, 224, 224)
    assert torch.equal(found, -mosaic.contrast(CHEETAH, against=LION, psi=psi))
    for of in (mosaic.raw, mosaic.attribution):  # what the top 5 share is the same for both
        expected = of(LION, psi) - of(CHEETAH, psi)
        assert float((found - expected).abs().max()) < 1e-5 * float(of(LION, psi).abs().max())  # float32: sums of fifty maps


def test_a_layers_contrast_is_the_difference_of_its_maps(small: Explanation) -> None:
    for index in range(len(small.layers) + 1):
        found = small.layer_contrast(index, 6, against=2)
        assert torch.equal(found, small.layer_raw(index, 6) - small.layer_raw(index, 2))
        assert torch.equal(found, -small.layer_contrast(index, 2, against=6))
        assert torch.equal(found, small.layer_contrast(index, torch.tensor(6), against=torch.tensor(2)))  # type: ignore[arg-type]


def test_a_contrast_with_a_class_that_was_not_explained_says_so(small: Explanation) -> None:
    other = next(k for k in range(7) if k not in small.classes) if len(small.classes) < 7 else 99
    with pytest.raises(ValueError, match=f"Class {other} was not explained"):
        small.contrast(6, against=other)
    with pytest.raises(ValueError, match="psi is"):
        small.contrast(6, against=2, psi="sharp")  # type: ignore[arg-type]


def test_a_contrast_with_the_class_itself_is_no_map_but_a_sentence(small: Explanation) -> None:
    for wish in (small.contrast, partial(small.layer_contrast, 1), partial(small.shares, box=(0, 0, 1, 1)), small.plot):
        with pytest.raises(ValueError, match="A class is compared with another one: these two are the same"):
            wish(k=6, against=6)
    with pytest.raises(ValueError, match="these two are the same"):
        small.contrast(torch.tensor(6), against=6)  # type: ignore[arg-type]


@pytest.mark.parametrize("psi", PSIS)
def test_on_the_mosaic_each_animal_lights_up_in_its_own_sign(mosaic: Explanation, psi: str) -> None:
    found = mosaic.contrast(LION, against=CHEETAH, psi=psi)
    left, right = found[..., :112], found[..., 112:]
    for_lion = float(right.relu().sum() / found.relu().sum())
    for_cheetah = float((-left).relu().sum() / (-found).relu().sum())
    print(f"{psi}: {for_lion:.1%} of what speaks for the lion lies right, {for_cheetah:.1%} of what speaks for the cheetah left")
    assert for_lion > 0.9
    assert for_cheetah > 0.9


# -- shares of a place -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("psi", PSIS)
@pytest.mark.parametrize("box", BOXES, ids=str)
def test_the_shares_of_a_box_add_up_to_the_map_in_it(mosaic: Explanation, box: tuple[float, ...], psi: str) -> None:
    inside = box_mask(box, mosaic.size, "fractions")
    for map, options in (
        (mosaic.attribution(LION, psi), {}),
        (mosaic.attribution(LION, psi, "none"), {"pixel": "none"}),
        (mosaic.contrast(LION, against=CHEETAH, psi=psi), {"against": CHEETAH}),
    ):
        shares = mosaic.shares(LION, box, psi, **options)
        assert shares.shape == (len(mosaic.layers) + 1,)
        mass = map[0, 0].double()[inside]
        assert abs(float(shares.sum() - mass.sum())) < 1e-6 * float(mass.abs().sum())


@pytest.mark.parametrize("psi", PSIS)
@pytest.mark.parametrize("name", NETS)
def test_in_float64_shares_are_exact_and_each_is_its_layers(name: str, psi: str) -> None:
    e = TRGBP(randomise(NETS[name]())).explain(picture(), [6])
    box = (0.1, 0.3, 0.62, 0.8)
    inside = box_mask(box, e.size, "fractions")
    shares, map = e.shares(6, box, psi), e.attribution(6, psi)[0, 0][inside]
    assert abs(float(shares.sum() - map.sum())) < 1e-12 * float(map.abs().sum())
    without = e.shares(6, box, psi, "none")
    assert float(without[0]) == 0
    assert torch.equal(without[1:], shares[1:])
    halves = sum(e.shares(6, half, psi) for half in ((0, 0, 0.5, 1), (0.5, 0, 1, 1)))
    torch.testing.assert_close(halves, e.shares(6, (0, 0, 1, 1), psi), rtol=1e-9, atol=1e-12)


def test_with_the_conserving_psi_the_whole_pictures_shares_are_the_layers_sums(small: Explanation) -> None:
    shares = small.shares(6, (0, 0, 1, 1))
    sums = [small.layer_attribution(i, 6, "contribution").sum() for i in range(len(small.layers) + 1)]
    torch.testing.assert_close(shares, torch.stack(sums), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "box",
    [(0, 0, 0, 1), (0.2, 0.2, 0.1, 0.9), (2, 2, 3, 3), (0, 0, 1), "here", None, (0, 0, 1, float("nan")), (0, 0, 1.2, 1), (-0.1, 0, 1, 1)],
    ids=str,
)
def test_a_box_that_is_none_gets_a_sentence(small: Explanation, box: object) -> None:
    with pytest.raises(ValueError, match="box"):
        small.shares(6, box)  # type: ignore[arg-type]


# -- names, files, devices ---------------------------------------------------------------------------------------------------------------


def test_a_layer_is_named_by_its_number_its_name_or_its_module() -> None:
    network = randomise(Residual())
    for wrapped in (network, nn.DataParallel(network)):
        e = TRGBP(wrapped).explain(picture(), [6])
        for layer in e.layers:
            module = network.get_submodule(layer.name)
            assert e.layer_raw(module, 6) is e.layer_raw(layer.name, 6) is e.layer_raw(layer.index, 6)
            assert torch.equal(e.layer_attribution(module, 6), e.layer_attribution(layer.index, 6))
            assert torch.equal(e.layer_contrast(module, 6, against=e.top5[0]), e.layer_contrast(layer.index, 6, against=e.top5[0]))
    with pytest.raises(ValueError, match="no layer 'act'"):
        e.layer_raw(network.act, 6)
    with pytest.raises(ValueError, match="no module of the network"):
        e.layer_raw(nn.Conv2d(3, 8, 3), 6)


def test_an_explanation_is_short_in_words_and_itself_alone(small: Explanation) -> None:
    other = TRGBP(randomise(Plain())).explain(picture(), [6, 2])
    assert len(repr(small)) < 150
    assert "class 6" in repr(small)
    assert "32×32" in repr(small)
    assert small == small
    assert small != other
    assert len({small, other}) == 2


def same(a: Explanation, b: Explanation) -> bool:
    facts = ("classes", "top5", "layers", "size", "let_through")
    tensors = [(a.logits, b.logits), (a.layer_contribution(0, 6), b.layer_contribution(0, 6))]
    for k in a.classes:
        tensors.append((a.gradient(k), b.gradient(k)))
        tensors += [(a.layer_raw(i, k), b.layer_raw(i, k)) for i in range(len(a.layers) + 1)]
    return all(getattr(a, fact) == getattr(b, fact) for fact in facts) and all(x.dtype == y.dtype and torch.equal(x, y) for x, y in tensors)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_an_explanation_comes_back_from_a_file_as_it_was(dtype: torch.dtype, tmp_path: Path) -> None:
    network = randomise(Plain()).to(dtype)
    e, path = TRGBP(network).explain(picture().to(dtype), [6, 2]), tmp_path / "my explanation"
    e.save(path)
    back = Explanation.load(path)
    assert [file.name for file in tmp_path.iterdir()] == ["my explanation"]
    assert same(e, back)
    with pytest.raises(ValueError, match="does not know its network"):
        back.layer_raw(network[0], 6)
    assert same(e, pickle.loads(pickle.dumps(e)))


def test_a_file_that_is_no_explanation_gets_a_sentence_and_nothing_in_it_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return Path.touch, (tmp_path / "executed",)

    np.savez(tmp_path / "pickle.npz", facts=np.array([Evil()], dtype=object))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no")
    (tmp_path / "empty.npz").touch()
    for name in ("pickle", "other", "text", "empty"):
        with pytest.raises(ValueError, match="not an explanation"):
            Explanation.load(tmp_path / f"{name}.npz")
    assert not (tmp_path / "executed").exists()
    with pytest.raises(OSError, match="missing"):
        Explanation.load(tmp_path / "missing.npz")


def test_an_explanation_moves_whole_to_another_device(small: Explanation) -> None:
    moved = small.to("meta")
    tensors: list[Tensor] = [moved.logits, moved.gradient(6), moved.layer_contribution(0, 2)]
    assert {t.device.type for t in (*tensors, *(moved.layer_raw(i, 6) for i in range(len(moved.layers) + 1)))} == {"meta"}
    assert same(small, small.to("cpu"))


# -- drawn -------------------------------------------------------------------------------------------------------------------------------


def test_a_plot_shows_the_picture_both_maps_and_the_answers(mosaic: Explanation) -> None:
    names = [f"name {i}" for i in range(1000)]
    figure = mosaic.plot(LION, labels=names)
    words = [text.get_text() for axis in figure.axes for text in (axis.title, *axis.texts)]
    assert figure.get_suptitle() == "name 291"
    assert words[:3] == ["the picture", "smooth", "sharp"]
    for k in mosaic.top5:
        assert any(word.startswith(f"name {k}  ") and f"{float(mosaic.probabilities[0, k]):.1%}" in word for word in words)
    shown = [axis.images[0].get_array() for axis in figure.axes[:3]]
    assert all(image.shape[:2] == (224, 224) for image in shown)
    other = [axis.images[0].get_array() for axis in mosaic.plot(CHEETAH).axes[:3]]
    assert np.array_equal(shown[0], other[0])
    assert not np.array_equal(shown[1], other[1])
    assert not np.array_equal(shown[2], other[2])


def test_a_plot_of_a_contrast_shows_both_signs(mosaic: Explanation) -> None:
    figure = mosaic.plot(LION, against=CHEETAH, labels=[f"name {i}" for i in range(1000)])
    assert figure.get_suptitle() == "name 291 rather than name 293"
    sharp = np.asarray(figure.axes[2].images[0].get_array()).astype(int)
    left, right = sharp[:, :112].sum((0, 1)), sharp[:, 112:].sum((0, 1))
    assert left[2] > left[0], "blue speaks for the cheetah"
    assert right[0] > right[2], "red for the lion"


def test_a_notebook_shows_the_plot_and_pyplot_knows_nothing_of_it(small: Explanation) -> None:
    import matplotlib.pyplot as plt

    for shown in (small._repr_png_(), small.plot()._repr_png_()):
        assert Image.open(io.BytesIO(shown)).size > (600, 200)
    assert plt.get_fignums() == []


def test_one_logit_is_drawn_as_its_raw_map() -> None:
    network = randomise(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)))
    assert TRGBP(network).explain(picture(1, 1, 9, 9))._repr_png_()


def test_labels_that_lack_a_class_and_a_contrast_with_nothing_get_a_sentence(mosaic: Explanation) -> None:
    with pytest.raises(ValueError, match=f"none of class {LION}"):
        mosaic.plot(LION, labels={i: "a" for i in range(1000) if i != LION})
    for wrong in (["a"], 5):
        with pytest.raises(ValueError, match="labels holds the name of every class"):
            mosaic.plot(LION, labels=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a tensor"):
        mosaic.plot(LION, picture="a.jpg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Class None was not explained"):
        mosaic.contrast(LION, against=None)  # type: ignore[arg-type]
