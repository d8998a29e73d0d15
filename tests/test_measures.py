"""Every measure against an implementation that is not ours: quantus, scikit-learn, scikit-image, scipy, or the formula in numpy."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import quantus
import scipy.ndimage
import scipy.stats
import skimage.feature
import skimage.metrics
import sklearn.metrics
import torch
from torch import Tensor, nn

from trgbp_core.measures import (
    boundary_auc,
    box_mask,
    ebpg,
    grid_pointing_game,
    hog_similarity,
    ibd,
    mosaic,
    perturbation_curve,
    pointing_game,
    roc_auc,
    similarity,
    spearman,
    ssim,
)
from trgbp_core.perturbation import FRACTIONS, blurred, removal_order
from trgbp_core.similarity import hog, ranks, unit_range

BOXES = [[3, 5, 20, 30], [0, 0, 12, 9], [20, 10, 40, 48], [39, 47, 40, 48]]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def close(ours: Tensor | float, theirs: Tensor | np.ndarray | float | list[float], what: str, tolerance: float = 1e-12) -> None:
    """The default tolerance is float64's, for sums in another order."""
    difference = float((torch.as_tensor(ours, dtype=torch.float64) - torch.as_tensor(theirs, dtype=torch.float64)).abs().max())
    print(f"{what}: largest difference {difference:.1e}")
    assert difference < tolerance


def masks() -> np.ndarray:
    result = np.zeros((4, 1, 48, 40), bool)
    for mask, (left, top, right, bottom) in zip(result, BOXES, strict=True):
        mask[:, top:bottom, left:right] = True
    return result


def small_network(channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(channels, 8, 3, stride=2),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(8 * 49, 5),
    ]
    return nn.Sequential(*layers).double().eval()


# -- localisation --------------------------------------------------------------------------------------------------------------------


def test_ebpg_equals_quantus() -> None:
    maps = random(4, 1, 48, 40)
    theirs = quantus.RelevanceMassAccuracy(disable_warnings=True, abs=False, normalise=False).evaluate_batch(
        a_batch=maps.relu().numpy(), s_batch=masks()
    )
    close(ebpg(maps, BOXES), theirs, "EBPG")


def test_pointing_game_equals_quantus() -> None:
    maps = random(200, 1, 48, 40)
    box = [10, 8, 30, 40]
    mask = np.zeros((200, 1, 48, 40), bool)
    mask[:, :, 8:40, 10:30] = True
    theirs = quantus.PointingGame(disable_warnings=True, abs=False, normalise=False).evaluate_batch(a_batch=maps.numpy(), s_batch=mask)
    assert 0 < theirs.mean() < 1
    close(pointing_game(maps, box), theirs.astype(float), "pointing game")


def test_pointing_game_allows_a_distance_to_the_box() -> None:
    maps = torch.zeros(3, 1, 30, 30)
    for i, (row, column) in enumerate([(12, 15), (5, 15), (6, 22)]):  # inside; 5 above; 4 above and 3 beside
        maps[i, 0, row, column] = 1
    box = [10, 10, 20, 20]
    assert pointing_game(maps, box).tolist() == [1, 0, 0]
    assert pointing_game(maps, box, tolerance=4.9).tolist() == [1, 0, 0]
    assert pointing_game(maps, box, tolerance=5).tolist() == [1, 1, 1]


def test_a_box_in_fractions_is_the_box_in_pixels() -> None:
    scale = torch.tensor([40, 48, 40, 48], dtype=torch.float64)
    maps = random(4, 1, 48, 40)
    assert torch.equal(ebpg(maps, torch.tensor(BOXES) / scale, "fractions"), ebpg(maps, BOXES))
    assert torch.equal(box_mask(BOXES, (48, 40)), torch.from_numpy(masks()[:, 0]))


def test_box_edges_between_pixels_count_a_pixel_by_its_centre() -> None:
    assert box_mask([0.4, 0.6, 2.5, 2], (4, 4)).nonzero().tolist() == [[1, 0], [1, 1]]


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [50, 0, 60, 10], [9, 5, 3, 30], [math.nan, 0, 3, 3]])
def test_a_box_without_pixels_is_refused(box: list[float]) -> None:
    with pytest.raises(ValueError, match="no pixel"):
        ebpg(random(1, 1, 48, 40), box)


def test_wrong_numbers_of_boxes_edges_and_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="4 boxes for 3 maps"):
        ebpg(random(3, 1, 48, 40), BOXES)
    with pytest.raises(ValueError, match="left, top, right, bottom"):
        ebpg(random(3, 1, 48, 40), [1, 2, 3])
    with pytest.raises(ValueError, match="0 to 3"):
        grid_pointing_game(random(1, 1, 4, 4), 4)


def test_grid_pointing_game_is_the_share_in_the_cell_where_mosaic_put_the_picture() -> None:
    shown = mosaic(torch.stack([torch.full((3, 6, 10), float(value)) for value in (1, 2, 3, 4)]))
    assert shown.shape == (1, 3, 12, 20)
    for cell in range(4):
        own = (shown[:, :1] == cell + 1).double()
        assert grid_pointing_game(own, cell).tolist() == [1]
        maps = random(1, 1, 12, 20)
        expected = float((maps.relu() * own).sum() / maps.relu().sum())
        close(grid_pointing_game(maps, cell), expected, f"cell {cell}")
    assert grid_pointing_game(torch.ones(2, 1, 12, 20), [0, 3]).tolist() == [0.25, 0.25]


@pytest.mark.parametrize(("size", "frame"), [((224, 224), (16, 16)), ((112, 448), (8, 32)), ((32, 32), (2, 2)), ((10, 10), (1, 1))])
def test_ibd_is_the_share_in_a_frame_of_16_pixels_at_224(size: tuple[int, int], frame: tuple[int, int]) -> None:
    maps = random(3, 1, *size)
    energy = maps.relu().numpy()[:, 0]
    inner = energy[:, frame[0] : -frame[0], frame[1] : -frame[1]].sum((1, 2))
    close(ibd(maps), 1 - inner / energy.sum((1, 2)), f"IBD at {size}")


def test_maps_without_positive_relevance_point_at_nothing() -> None:
    for maps in (torch.zeros(2, 1, 48, 40), -torch.ones(2, 1, 48, 40)):
        assert ibd(maps).tolist() == [0, 0]
        assert ebpg(maps, BOXES[0]).tolist() == [0, 0]
        assert grid_pointing_game(maps, 1).tolist() == [0, 0]
        assert pointing_game(maps, BOXES[0]).tolist() == [0, 0]


def test_measures_refuse_what_is_no_map() -> None:
    bad = random(1, 1, 48, 40)
    bad[0, 0, 3, 3] = math.nan
    for measure in (ibd, lambda m: ebpg(m, BOXES[0]), lambda m: pointing_game(m, BOXES[0]), lambda m: spearman(m, m)):
        with pytest.raises(ValueError, match="NaN"):
            measure(bad)
        with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
            measure(random(1, 3, 48, 40))


# -- boundary dependency and wrong predictions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", [False, True])
def test_roc_auc_equals_scikit_learn(ties: bool) -> None:
    for seed in range(20):
        values = random(101, seed=seed)
        values = values.round() if ties else values
        wrong = random(101, seed=seed + 100) + values * 0.5 > 0.5
        close(roc_auc(values, wrong), sklearn.metrics.roc_auc_score(wrong.numpy(), values.numpy()), "AUC")


@pytest.mark.parametrize("count", [100, 101])
def test_boundary_auc_drops_the_half_with_the_smaller_ibd(count: int) -> None:
    values = random(count).abs()
    wrong = random(count, seed=1) + 3 * (values - values.median()).clamp(min=0) > 0.8
    kept = np.argsort(values.numpy())[count // 2 :]
    result = boundary_auc(values, wrong)
    close(result.kept, sklearn.metrics.roc_auc_score(wrong.numpy()[kept], values.numpy()[kept]), "AUC of the kept half")
    close(result.everything, sklearn.metrics.roc_auc_score(wrong.numpy(), values.numpy()), "AUC of all")
    assert abs(result.kept - result.everything) > 0.01


def test_auc_of_equal_labels_does_not_exist() -> None:
    assert math.isnan(roc_auc(random(5), torch.ones(5, dtype=torch.bool)))
    assert math.isnan(boundary_auc(random(5), torch.zeros(5, dtype=torch.bool)).kept)


# -- similarity ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alike() -> tuple[Tensor, Tensor]:
    """Two batches of smooth maps in [0, 1], from hardly to nearly the same, with flat regions (many equal values)."""
    a = unit_range(blurred(random(5, 1, 64, 80)).relu())
    share = torch.linspace(0.1, 0.95, 5, dtype=torch.float64).view(5, 1, 1, 1)
    return a, unit_range((share * a + (1 - share) * unit_range(blurred(random(5, 1, 64, 80, seed=1)))).relu())


def test_spearman_equals_scipy(alike: tuple[Tensor, Tensor]) -> None:
    theirs = [scipy.stats.spearmanr(p.flatten(), q.flatten()).statistic for p, q in zip(*alike, strict=True)]
    assert max(theirs) - min(theirs) > 0.3
    close(spearman(*alike), theirs, "Spearman")


def test_ranks_equal_scipy() -> None:
    values = random(1000).round()
    close(ranks(values), scipy.stats.rankdata(values), "ranks")


def test_ssim_equals_scikit_image(alike: tuple[Tensor, Tensor]) -> None:
    theirs = [skimage.metrics.structural_similarity(p[0].numpy(), q[0].numpy(), data_range=1.0) for p, q in zip(*alike, strict=True)]
    assert max(theirs) - min(theirs) > 0.3
    close(ssim(*alike), theirs, "SSIM", 1e-10)  # variances are differences of means, in another order of summation


@pytest.mark.parametrize("cell", [16, 10])
def test_hog_equals_scikit_image(alike: tuple[Tensor, Tensor], cell: int) -> None:
    a, b = alike
    theirs = [[skimage.feature.hog(m[0].numpy(), pixels_per_cell=(cell, cell)) for m in maps] for maps in (a, b)]
    # scikit-image sums a cell in float32.
    close(hog(a, cell=cell), np.stack(theirs[0]), "HOG", 1e-5)
    correlation = [scipy.stats.pearsonr(p, q).statistic for p, q in zip(*theirs, strict=True)]
    assert max(correlation) - min(correlation) > 0.3
    close(hog_similarity(a, b, cell=cell), correlation, "HOG similarity", 1e-5)


@pytest.mark.parametrize("sign", ["abs", "relu"])
def test_similarity_compares_maps_scaled_to_one(sign: str) -> None:
    a, b = random(3, 1, 64, 64), random(3, 1, 64, 64, seed=1) + random(3, 1, 64, 64)
    p, q = (unit_range(m.abs() if sign == "abs" else m.clamp(min=0)) for m in (a, b))
    result = similarity(a * 7, b * 0.01, sign)
    close(result.spearman, spearman(p, q), "Spearman")
    close(result.ssim, ssim(p, q), "SSIM")
    close(result.hog, hog_similarity(p, q), "HOG")


def test_a_map_is_like_itself_and_an_empty_one_like_none() -> None:
    a = random(1, 1, 50, 60)
    same = similarity(a, a.clone())
    for value in (same.spearman, same.ssim, same.hog):
        close(value, 1.0, "with itself")
    empty = similarity(a, torch.zeros_like(a))
    assert empty.spearman.isnan()
    assert empty.hog.isnan()
    assert 0 <= float(empty.ssim) < 0.1


def test_similarity_works_on_small_maps_and_says_when_they_are_too_small() -> None:
    assert similarity(random(1, 1, 32, 32), random(1, 1, 32, 32, seed=1)).hog.isfinite()
    with pytest.raises(ValueError, match="7×7"):
        ssim(random(1, 1, 6, 32), random(1, 1, 6, 32))
    with pytest.raises(ValueError, match="one shape"):
        similarity(random(1, 1, 32, 32), random(1, 1, 32, 31))


# -- pixel perturbation --------------------------------------------------------------------------------------------------------------


def test_morf_curve_equals_quantus_pixel_flipping() -> None:
    network, x, maps = small_network(1).float(), random(3, 1, 16, 16).float(), random(3, 1, 16, 16, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = quantus.PixelFlipping(features_in_step=32, normalise=False, perturb_baseline=0.7, disable_warnings=True)
        model = quantus.helpers.model.pytorch_model.PyTorchModel(network, softmax=False, channel_first=True, device="cpu")
        labels = np.array([0, 4, 2])
        theirs = metric.evaluate_batch(model=model, x_batch=x.numpy(), y_batch=labels, a_batch=maps.numpy())
    fractions = [step / 8 for step in range(1, 9)]
    curve = perturbation_curve(network, x, maps, labels.tolist(), fill=torch.tensor([0.7]), fractions=fractions, batch=5)
    assert np.ptp(theirs) > 0.1
    close(curve.scores.detach(), np.array(theirs), "pixel flipping", 1e-5)  # float32 here, the only type that quantus takes


@pytest.mark.parametrize("order", ["morf", "lerf"])
@pytest.mark.parametrize("fill", ["black", "mean", "blur"])
def test_curve_is_the_relative_change_of_the_score_when_ranked_pixels_are_replaced(order: str, fill: str) -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    black = torch.tensor([-2.1, -2.0, -1.8]).view(1, 3, 1, 1)
    instead = {"black": black.double().expand_as(x), "mean": torch.zeros_like(x), "blur": blurred(x)}[fill]
    curve = perturbation_curve(network, x, maps, [1, 3], fill=black if fill == "black" else fill, order=order)
    expected = torch.zeros(2, len(FRACTIONS), dtype=torch.float64)
    for i, k in enumerate([1, 3]):
        ranked = np.argsort(maps[i].numpy().ravel())
        ranked = ranked[::-1] if order == "morf" else ranked
        for j, fraction in enumerate(FRACTIONS):
            changed = x[i].clone().numpy().reshape(3, -1)
            gone = ranked[: max(1, round(fraction * 256))]
            changed[:, gone] = instead[i].numpy().reshape(3, -1)[:, gone]
            with torch.no_grad():
                score, before = (float(network(p.reshape(1, 3, 16, 16))[0, k]) for p in (torch.from_numpy(changed), x[i]))
            expected[i, j] = abs(score - before) / abs(before)
    close(curve.change.detach(), expected, f"{order}, {fill}")


def test_fractions_follow_full_grad_and_go_on_to_90_percent() -> None:
    assert FRACTIONS[0] == 0.001
    assert 0.1 in FRACTIONS
    assert FRACTIONS[-1] == 0.9


def test_probabilities_may_be_watched_instead_of_scores() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    curve = perturbation_curve(network, x, maps, 2, fill="mean", fractions=[1.0], probability=True)
    close(curve.unperturbed, network(x).softmax(1)[:, 2].detach(), "probability")
    close(curve.scores[:, 0], network(torch.zeros_like(x)).softmax(1)[:, 2].detach(), "probability of nothing")


def test_the_class_is_the_one_of_the_unperturbed_picture_by_default() -> None:
    network, x, maps = small_network(), random(8, 3, 16, 16), random(8, 1, 16, 16, seed=1)
    best = network(x).argmax(1)
    assert bool((best != network(torch.zeros_like(x)).argmax(1)).any()), "the class does not change"
    default, given = (perturbation_curve(network, x, maps, k, fill="mean", fractions=[1.0]).scores for k in (None, best))
    assert torch.equal(default, given)


def test_equal_pixels_are_not_taken_row_by_row() -> None:
    order = removal_order(torch.zeros(2, 1, 32, 32), "lerf")
    assert torch.equal(order[0], order[1])
    assert sorted(order[0].tolist()) == list(range(32 * 32))
    rows = order[0, :100] // 32
    assert abs(float(rows.double().mean()) - 15.5) < 4  # uniform rows have a standard error of 0.9
    state = torch.get_rng_state()
    removal_order(torch.zeros(1, 1, 8, 8), "morf")
    assert torch.equal(torch.get_rng_state(), state)


def test_area_is_numpy_s_trapezoid() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    curve = perturbation_curve(network, x, maps, fill="mean")
    k = np.array(FRACTIONS)
    close(curve.area(), np.trapezoid(curve.change.numpy(), k) / (k[-1] - k[0]), "area")
    close(curve.area(0.1), np.trapezoid(curve.change.numpy()[:, k <= 0.1], k[k <= 0.1]) / (0.1 - 0.001), "area to 10 %")


def test_blur_equals_scipy() -> None:
    x = random(2, 3, 64, 90)
    theirs = scipy.ndimage.gaussian_filter(x.numpy(), 10 / 224 * 64, mode="mirror", axes=(2, 3), truncate=4)
    close(blurred(x), theirs, "blur", 1e-10)  # separable filters, in another order


def test_perturbation_explains_the_evaluation_mode_and_leaves_the_network_as_it_was() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    expected = perturbation_curve(network, x, maps, 1, fill="mean").scores
    network.train()
    before, picture = {name: t.clone() for name, t in network.state_dict().items()}, x.clone()
    result = perturbation_curve(network, x, maps, 1, fill="mean").scores
    assert torch.equal(result, expected)
    assert not result.requires_grad
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())
    assert all(m.training for m in network.modules())
    assert torch.equal(picture, x)


def test_perturbation_reports_progress_and_can_be_cancelled() -> None:
    network, x, maps = small_network(), random(2, 3, 16, 16), random(2, 1, 16, 16, seed=1)
    shares: list[float] = []
    perturbation_curve(network, x, maps, fill="mean", batch=4, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == 9

    def cancel(share: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        perturbation_curve(network, x, maps, fill="mean", progress=cancel)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fill": "grey"}, "fill is"),
        ({"fill": torch.zeros(4)}, "3 values"),
        ({"order": "most"}, "order is"),
        ({"fractions": [0.5, 0.1]}, "rising"),
        ({"fractions": [0.0, 0.1]}, "above 0"),
        ({"fractions": []}, "fractions"),
        ({"maps": torch.zeros(1, 1, 16, 16)}, "need maps"),
        ({"target": 5}, "classes 0 to 4"),
    ],
)
def test_perturbation_refuses_nonsense_with_a_sentence(changes: dict, message: str) -> None:
    given = {"maps": random(2, 1, 16, 16), "target": None, "fill": "mean"} | changes
    with pytest.raises(ValueError, match=message):
        perturbation_curve(small_network(), random(2, 3, 16, 16), **given)
