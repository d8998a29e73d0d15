"""The paper's figures: what stands where, and that it stands upright."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from trgbp_core import METHODS, TRGBP, Preprocess, cascade, load_model, own_model
from trgbp_core.cli.main import main
from trgbp_core.data import examples
from trgbp_core.drawing.figures import Cell, save, sheet
from trgbp_core.drawing.render import overlay
from trgbp_core.engine.geometry import upsample
from trgbp_core.engine.layer_order import layer_groups
from trgbp_core.evaluation.settings import DEFAULT
from trgbp_core.paper_figures import FIGURES, Options, draw
from trgbp_core.paper_figures.class_maps import top_five, two_classes
from trgbp_core.paper_figures.method_comparison import compared
from trgbp_core.paper_figures.randomisation import blocks, cascade_of_layers, cascade_row, milestones, single_layers
from trgbp_core.paper_figures.subject import Subject, read_all

from ..support.documents import ROOT
from ..support.nets import Residual, randomise

LABELS = ["apple", "banana", "cherry", "date", "elder", "fig", "grape"]
RED = (255, 0, 0)


def subject(**options: object) -> Subject:
    """A small residual network with random weights before a picture of noise."""
    zoo = own_model(randomise(Residual()).float(), LABELS, preprocess=Preprocess(size=32, resize=None))
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    return Subject.of(Image.fromarray(noise), zoo, Options(**options))  # type: ignore[arg-type]


def shows(cell: Cell, one: Subject, map: torch.Tensor) -> bool:
    """The map in colours, over the picture."""
    return same(cell, overlay(one.picture, map, opacity=1))


def same(cell: Cell, image: Image.Image) -> bool:
    return cell.image is not None and np.array_equal(np.asarray(cell.image), np.asarray(image))


def test_figure_7_runs_from_top_1_to_top_5_and_figure_3_shows_the_first_two() -> None:
    one = subject()
    e = TRGBP(one.zoo.network).explain(one.x)
    for rows, count in ((top_five(one), 5), (two_classes(one), 2)):
        assert same(rows[0][1], one.picture)
        for row, psi in zip(rows, ("paper", "conserving"), strict=True):
            assert len(row) == 2 + count
            for cell, k in zip(row[2:], e.top5, strict=False):
                assert shows(cell, one, e.attribution(k, psi)), (psi, k)  # type: ignore[arg-type]
        letters = ["", "", "", "", ""] if count == 5 else ["(b) ", "(c) "]
        assert [cell.title.split("\n")[0] for cell in rows[0][2:]] == [a + LABELS[k] for a, k in zip(letters, e.top5, strict=False)]
        peaks = [float(cell.title.rpartition(" ")[2]) for cell in rows[1][2:]]
        assert max(peaks) == 1


def test_classes_can_be_chosen_by_name_and_a_figure_of_one_class_refuses_two() -> None:
    rows = two_classes(subject(classes=("grape", "apple", "fig")))
    assert [cell.title.split("\n")[0] for cell in rows[0][2:]] == ["(b) grape", "(c) apple", "(d) fig"]
    with pytest.raises(ValueError, match="explains one class; 2 were given"):
        cascade_row(subject(classes=("grape", "apple")))
    with pytest.raises(ValueError, match="No class is called"):
        two_classes(subject(classes=("unicorn",)))


def test_figure_4_shows_the_papers_methods_in_its_order_each_with_its_own_map() -> None:
    one = subject(classes=("date",))
    (row,) = compared(one)
    titles = ["Saliency", "Guided backprop", "Guided IG", "FullGrad", "Grad-CAM", "CAMERAS", "TR-GBP", "TR-GBP, conserving ψ"]
    assert [cell.title for cell in row[2:]] == titles
    assert "date" in row[0].words
    for cell, key in zip(row[2:], DEFAULT, strict=True):
        assert shows(cell, one, METHODS[key].attribute(one.zoo.network, one.x, LABELS.index("date"))), key
    (row,) = compared(subject(methods=("pattern_net", "saliency")))
    assert row[2].image is None
    assert row[2].words, "it does not apply, and says so in its place"
    assert row[3].image is not None


def test_a_figure_says_which_network_the_paper_drew_unless_it_is_the_same() -> None:
    for number, network in ((3, "ResNet-50"), (4, "VGG-16 and ResNet-50"), (7, "VGG-16"), (10, "ResNet-50")):
        assert FIGURES[number].beneath("EfficientNet-Lite0").endswith(f" The paper drew {network}."), number
        assert FIGURES[number].beneath(network) == FIGURES[number].note


def test_figure_5_begins_with_the_trained_network_and_ends_with_every_layer_random() -> None:
    one = subject(seed=3)
    rows = cascade_row(one)
    k = TRGBP(one.zoo.network).explain(one.x).top5[0]
    *_, last = cascade(one.zoo.network, seed=3)
    for at, network in ((2, one.zoo.network), (-1, last.network)):
        e = TRGBP(network).explain(one.x, [k])
        for row, map in zip(rows, (e.attribution(k), e.attribution(k, "conserving"), e.raw(k)), strict=True):
            assert shows(row[at], one, map)
    assert [cell.title for cell in rows[0][1:4]] == ["(a) input", f"(b) raw\n{LABELS[k]}", "(c) 1 layer\nhead"]
    assert rows[0][-1].title.endswith("all layers\nstem.0")


def test_columns_of_figure_9_end_where_a_block_is_random_and_its_rows_go_down_to_the_picture() -> None:
    one = subject()
    network, e = one.zoo.network, TRGBP(one.zoo.network).explain(one.x)
    assert [block.layers for block in blocks(e.layers)] == [
        tuple(layer.index for layer in e.layers if layer.size == size) for size in ((16, 16), (32, 32))
    ] + [(0,)]
    groups = [("stem.0", "stem.1"), ("body.0", "body.1"), ("body.3", "body.4"), ("short.0", "short.1"), ("head",)]
    assert layer_groups(network) == groups
    assert milestones(e.layers, groups) == [1, 3, 5]  # the logits; body.3, the last 16×16 map; all
    rows = cascade_of_layers(one)
    assert [len(row) for row in rows] == [1 + 1 + 3] * (1 + 3)
    assert rows[0][-1].title == "all layers\nstem.0"
    assert rows[0][0].title == "input; in its row\nR̃ of all layers"
    assert rows[-1][0].words.endswith("itself")


@pytest.mark.parametrize("specific", [False, True])
def test_rows_of_figure_9_add_up_to_the_row_above_them(specific: bool) -> None:
    one = subject(specific=specific)
    e = TRGBP(one.zoo.network).explain(one.x)
    k = e.top5[0]
    maps = [block.map(e, k, specific=specific) for block in blocks(e.layers)]
    whole = e.attribution(k) if specific else e.raw(k)
    for cell, map in zip([row[1] for row in cascade_of_layers(one)], [whole, *maps], strict=True):
        assert shows(cell, one, map)
    everywhere = [layer.index for layer in e.layers if layer.kind == "linear"]  # one value for the whole picture: it has no row
    maps += [e.layer_attribution(index, k) if specific else e.layer_raw(index, k) for index in everywhere]
    total = torch.stack([upsample(map, e.size) for map in maps]).sum(0)
    torch.testing.assert_close(total, whole, rtol=1e-4, atol=1e-5)  # float32, added in another order


def test_vgg16_and_resnet50_have_the_papers_five_rows_of_layers() -> None:
    for name, top in (("vgg16", "features.24"), ("resnet50", "layer4.0.conv3")):
        zoo = load_model(f"random:{name}")
        layers = TRGBP(zoo.network).explain(torch.zeros(1, 3, 224, 224)).layers
        rows = blocks(layers)
        assert len(rows) == 5 + 1, "and the picture's own"
        assert layers[rows[0].layers[0] - 1].name == top
        columns = milestones(layers, layer_groups(zoo.network))
        assert columns == ([1, 2, 3, 6, 9, 12, 14, 16] if name == "vgg16" else [1, 9, 28, 41, 53, 54])


def test_single_layers_can_be_chosen_instead_and_one_that_is_not_there_gets_a_sentence() -> None:
    e = TRGBP(subject().zoo.network).explain(subject().x)
    rows = cascade_of_layers(subject(layers=(3, 0)))
    assert ["body.3" in rows[1][0].words, "picture" in rows[2][0].words] == [e.layers[2].name == "body.3", True]
    with pytest.raises(ValueError, match="there is no layer 9"):
        single_layers(e.layers, [9])


def test_panels_are_upright_alike_in_size_and_where_they_belong(tmp_path: Path) -> None:
    corner = np.zeros((64, 64, 3), np.uint8)
    corner[:16, :16] = RED
    cell = Cell(Image.fromarray(corner), "a title")
    figure = sheet("Figure", "a note", [[[Cell(words="words"), cell, Cell()], [Cell(words="more"), cell, cell]]])
    drawn = np.asarray(Image.open(save(figure, tmp_path, "figure", dpi=100)[0]).convert("RGB")).astype(int)
    red, black = (drawn - RED).__abs__().sum(2) < 60, drawn.sum(2) < 60
    panels = [axis.get_window_extent().transformed(figure.dpi_scale_trans.inverted()).bounds for axis in figure.axes if axis.images]
    assert len(panels) == 3
    height = figure.get_figheight()
    for left, bottom, width, side in panels:
        assert (width, side) == pytest.approx((1.5, 1.5))
        top, x = round(100 * (height - bottom - side)), round(100 * left)
        assert red[top + 2 : top + 35, x + 2 : x + 35].all(), "the upper left corner is red"
        assert black[top + 42 : top + 148, x + 2 : x + 148].all(), "all below is black"
    assert (tmp_path / "figure.pdf").read_bytes().startswith(b"%PDF")


def test_every_title_stays_within_its_column() -> None:
    titles = [
        "_blocks.11._project_conv",
        "features.denseblock4.denselayer16.conv2",
        "a fairly long class name of many words",
        "Norwich terrier",
    ]
    figure = sheet("Figure", "a note that is so long that it has to be broken into lines " * 3, [[[Cell(read("lion"), t) for t in titles]]])
    renderer = FigureCanvasAgg(figure).get_renderer()
    for axis in figure.axes:
        for text in axis.texts:
            assert text.get_window_extent(renderer).width <= axis.get_window_extent().width * 1.04, text.get_text()
    for text in figure.texts:
        assert text.get_window_extent(renderer).x1 <= figure.bbox.x1


def read(name: str) -> Image.Image:
    return Image.open(examples.FOLDER / f"{name}.jpg").convert("RGB").resize((64, 64))


def test_a_folder_is_read_in_order_without_what_is_no_picture_and_an_empty_one_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b.png", "a.jpg"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert [name for name, _ in read_all([tmp_path])] == ["a", "b"]
    assert "skipped notes.txt" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"notes\.txt: .*not a picture"):
        read_all([tmp_path / "a.jpg", tmp_path / "notes.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"There is no picture in .*empty"):
        read_all([tmp_path / "empty"])


def test_pictures_that_do_not_fit_on_one_sheet_go_on_on_the_next(tmp_path: Path) -> None:
    pictures = [(str(i), read("lion")) for i in range(FIGURES[3].page + 1)]
    files = list(draw(3, pictures, ["random:squeezenet1_1"], Options(), tmp_path, dpi=20))
    assert [file.name for file in files] == ["figure3_1.png", "figure3_1.pdf", "figure3_2.png", "figure3_2.pdf"]
    first, second = (Image.open(file) for file in files[::2])
    assert first.width == second.width
    assert first.height > 3 * second.height


def test_figure_3_comes_from_one_command_in_the_chosen_colours(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for colours in ("inferno", "jet"):
        assert main(["figure", "3", "--colours", colours, "--out", str(tmp_path / colours)]) == 0
        assert capsys.readouterr().out.split() == [str(tmp_path / colours / f"figure3.{kind}") for kind in ("png", "pdf")]
    inferno, jet = (Image.open(tmp_path / colours / "figure3.png").convert("RGB") for colours in ("inferno", "jet"))
    assert inferno.size == jet.size
    assert inferno.tobytes() != jet.tobytes()


def test_drawing_leaves_matplotlibs_global_state_alone() -> None:
    code = """
import sys, matplotlib
known = [name for name in matplotlib.rcParams if name != "backend"]  # asking for that one imports pyplot
before = [matplotlib.rcParams[name] for name in known]
from tests.paper_figures.test_paper_figures import Cell, read, sheet
sheet("a", "b", [[[Cell(read("lion"))]]])
assert [matplotlib.rcParams[name] for name in known] == before
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
