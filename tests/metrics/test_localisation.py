"""Localisation and boundary dependency against quantus, scikit-learn, or the formula in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import quantus
import sklearn.metrics
import torch

from trgbp_core.metrics.localisation import boundary_auc, box_mask, ebpg, grid_pointing_game, ibd, mosaic, pointing_game, roc_auc
from trgbp_core.metrics.similarity import spearman

from ..support.comparison import close
from ..support.nets import picture as random

BOXES = [[3, 5, 20, 30], [0, 0, 12, 9], [20, 10, 40, 48], [39, 47, 40, 48]]


def masks() -> np.ndarray:
    result = np.zeros((4, 1, 48, 40), bool)
    for mask, (left, top, right, bottom) in zip(result, BOXES, strict=True):
        mask[:, top:bottom, left:right] = True
    return result


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
