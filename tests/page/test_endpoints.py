"""The named endpoints through gradio_client: plain data and pictures, and a sentence for whatever is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from trgbp_core import METHODS, TRGBP
from trgbp_core.data import images
from trgbp_core.trgbp.explainer import Explanation
from trgbp_core.zoo.loading import load_model

from ..support.comparison import JUMP

EXAMPLES = Path(__file__).parents[2] / "assets" / "examples"
LION = EXAMPLES / "lion.jpg"
MODEL = "efficientnet_lite0"


@pytest.fixture(scope="module")
def client(page_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Its downloads pass through folders of the system's temporary one, which it leaves there empty: here that is the test's own."""
    folder = tmp_path_factory.mktemp("downloads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(folder))
        yield Client(page_url, verbose=False, download_files=folder)


@pytest.fixture(scope="module")
def lion() -> Explanation:
    """What the engine says, in this process."""
    zoo = load_model(MODEL)
    return TRGBP(zoo.network).explain(zoo.preprocess(images.read(LION)), [291])


def opened(gallery: list[dict[str, str]]) -> dict[str, Image.Image]:
    return {item["caption"]: Image.open(item["image"]) for item in gallery}


def test_explain_gives_the_engines_numbers_and_pictures(client: Client, lion: Explanation) -> None:
    data, gallery = client.predict(handle_file(LION), MODEL, "lion", api_name="/explain")
    assert [item["index"] for item in data["top5"]] == list(lion.top5)
    assert data["class"]["probability"] == pytest.approx(float(lion.probabilities[0, 291]), abs=1e-5)
    assert [layer["name"] for layer in data["layers"]] == [layer.name for layer in lion.layers]
    pictures = opened(gallery)
    assert set(pictures) == {"raw", "tr_gbp", "tr_gbp_conserving"}
    assert all(p.size == (224, 224) for p in pictures.values())


def test_layers_gives_the_maps_themselves(client: Client, lion: Explanation) -> None:
    data, gallery = client.predict(handle_file(LION), MODEL, "291", 49, api_name="/layers")
    assert data["name"] == "_conv_head"
    raw = torch.tensor(data["raw"])
    assert float((raw - lion.layer_raw(49, 291)[0, 0]).abs().max()) < JUMP * float(raw.abs().max())  # another process
    assert len(gallery) == 2


def test_compare_gives_a_map_a_method(client: Client) -> None:
    keys = ["tr_gbp", "saliency", "grad_cam"]
    data, gallery = client.predict(handle_file(LION), MODEL, "", keys, api_name="/compare")
    assert set(data) == set(keys)
    assert all(entry["seconds"] > 0 for entry in data.values())
    assert set(opened(gallery)) == {METHODS[key].title for key in keys}


def test_compare_of_several_networks_gives_each_ones_answer_and_maps(client: Client) -> None:
    lite1 = "efficientnet_lite1"
    data, gallery = client.predict(handle_file(LION), f"{MODEL}, {lite1}", "lion", ["saliency"], api_name="/compare")
    assert list(data) == [MODEL, lite1]
    assert all(row["prediction"].startswith("lion") and row["class"]["name"] == "lion" and not row["note"] for row in data.values())
    assert {name: picture.size for name, picture in opened(gallery).items()} == {
        "EfficientNet-Lite0: Saliency": (224, 224),
        "EfficientNet-Lite1: Saliency": (240, 240),
    }


def test_measure_gives_the_share_of_each_map_in_a_box(client: Client) -> None:
    data, gallery = client.predict(handle_file(LION), MODEL, "", ["saliency", "tr_gbp"], [0, 0, 1, 1], api_name="/measure")
    assert all(scores["ebpg"] == 1 and scores["pointing_game"] == 1 for scores in data.values())
    half, _ = client.predict(handle_file(LION), MODEL, "", ["saliency", "tr_gbp"], [0, 0, 0.5, 1], api_name="/measure")
    assert all(0 < half[key]["ebpg"] < 1 and half[key]["ibd"] == data[key]["ibd"] for key in data)
    assert len(gallery) == 2


def test_predict_foretells_and_measures_when_asked(client: Client) -> None:
    data, gallery = client.predict(handle_file(LION), MODEL, "lion", 0, api_name="/predict")
    assert "measured" not in data
    assert len(gallery) == len(data["layers"]) == 50
    assert 0 < data["boundary"]["expected"] < data["boundary"]["uniform"]
    data, gallery = client.predict(handle_file(EXAMPLES / "star.png"), "shapes", "star", 2, api_name="/predict")
    measured = data["measured"]
    assert len(gallery) == 2 * len(measured["random"]["layers"])
    assert measured["random"]["total"] > 0.95
    assert "nothing is said about how often it was wrong" in measured["boundary"]["said"][2], "no table of frames came with it"


def test_cascade_gives_similarities_a_stage(client: Client) -> None:
    data, gallery = client.predict(handle_file(LION), MODEL, "lion", "saliency", "gaussian", 0, 3, api_name="/cascade")
    assert [stage["index"] for stage in data] == [0, 1, 2, 3]
    assert all(abs(s["spearman"] - 1) < 1e-6 for s in data[0]["similarity"].values())
    own, raw = (data[3]["similarity"][key]["spearman"] for key in ("own", "raw"))
    assert own is None or own < 0.999, "None: the map is empty"
    assert raw < 0.999
    assert len(gallery) == 5


def test_explain_says_why_one_class_rather_than_another(client: Client) -> None:
    mosaic = handle_file(EXAMPLES / "cheetah_and_lion.jpg")
    alone, _ = client.predict(mosaic, MODEL, "lion", api_name="/explain")
    data, gallery = client.predict(mosaic, MODEL, "lion", "centre", "cheetah", api_name="/explain")
    assert data["against"]["index"] == 293
    words = [data["maps"].pop(name) for name in ("contrast", "contrast_conserving")]
    assert data["maps"] == alone["maps"]
    assert all(said.startswith("for lion: peak ") and "; for cheetah: peak " in said for said in words)
    signed = np.asarray(opened(gallery)["contrast_conserving"]).astype(int)
    reddish = signed[..., 0] - signed[..., 2]
    brown = np.asarray(images.read(EXAMPLES / "cheetah_and_lion.jpg").resize((224, 224))).astype(int)
    changed = reddish - 0.4 * (brown[..., 0] - brown[..., 2])
    assert changed[:, 112:].max() > 60 > -60 > changed[:, :112].min(), "red on the lion, blue on the cheetah"
    far, _ = client.predict(mosaic, MODEL, "lion", "centre", "espresso", api_name="/explain")
    assert far["against"]["name"] == "espresso", "any class, not the five best alone"


def test_explain_says_what_each_layer_gives_to_a_box(client: Client, lion: Explanation) -> None:
    box = [0.25, 0.25, 0.75, 0.5]
    data, _ = client.predict(handle_file(LION), MODEL, "lion", "centre", "244", box, api_name="/explain")
    assert [row["name"] for row in data["shares"]] == ["input", *(layer.name for layer in lion.layers)]
    for name, psi in (("contrast", "paper"), ("contrast_conserving", "conserving")):
        whole = float(lion.contrast(291, against=244, psi=psi)[..., 56:112, 56:168].double().sum())  # type: ignore[arg-type]
        assert sum(row[name] for row in data["shares"]) == pytest.approx(whole, rel=JUMP)
    alone, _ = client.predict(handle_file(LION), MODEL, "lion", "centre", "", box, api_name="/explain")
    assert set(alone["shares"][0]) == {"layer", "name", "tr_gbp", "tr_gbp_conserving"}


def test_a_crop_may_be_given_and_may_be_left_out(client: Client) -> None:
    explained = [
        client.predict(handle_file(LION), MODEL, "", *crop, api_name="/explain")[0]["maps"] for crop in ((), ("centre",), ("0,0,0.5",))
    ]
    assert explained[0] == explained[1] != explained[2]
    located, _ = client.predict(handle_file(LION), MODEL, "", ["saliency"], [0, 0, 1, 1], "1,1,0.5", api_name="/measure")
    assert located["saliency"]["ebpg"] == 1


@pytest.mark.parametrize(
    ("arguments", "name", "sentence"),
    [
        ((LION, MODEL, "no such class"), "/explain", "No class is called"),
        ((LION, MODEL, "1000"), "/explain", "there is no class 1000"),
        ((LION, "vit_b_16", ""), "/explain", "There is no network"),
        ((LION, "random:vgg16", ""), "/explain", "There is no network"),
        ((Path(__file__), MODEL, ""), "/explain", "not a picture"),
        ((LION, MODEL, "", 51), "/layers", "there is no layer 51"),
        ((LION, MODEL, "lion", "centre", "291"), "/explain", "these two are the same"),
        ((LION, MODEL, "", "centre", "unicorn"), "/explain", "No class is called"),
        ((LION, MODEL, "", "centre", "", [0, 0, 2, 1]), "/explain", "A box is"),
        ((LION, MODEL, "", "centre", "", [0.5, 0, 0.5, 1]), "/explain", "holds no pixel"),
        ((LION, MODEL, "", "everything"), "/explain", "A crop is centre, whole, or x,y,size"),
        ((LION, f"{MODEL},no_such", "", ["saliency"]), "/compare", "There is no network 'no_such'"),
        ((LION, f"{MODEL},{MODEL}", "", ["saliency"]), "/compare", "one is named twice"),
        ((LION, MODEL, "", ["no_such"]), "/compare", "There is no method"),
        ((LION, MODEL, "", ["saliency"], [0.2, 0.2, 1.3, 0.5]), "/measure", "A box is"),
        ((LION, MODEL, "", ["saliency"], "everywhere"), "/measure", "A box is"),
        ((LION, MODEL, "", "saliency", "zero", 0, 1), "/cascade", "mode is one of"),
        ((LION, MODEL, "", "saliency", "gaussian", -3, 1), "/cascade", "A seed is"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(client: Client, arguments: tuple[object, ...], name: str, sentence: str) -> None:
    picture, *rest = arguments
    with pytest.raises(AppError, match=sentence):
        client.predict(handle_file(str(picture)), *rest, api_name=name)


def test_after_all_that_is_wrong_the_next_request_is_answered(client: Client) -> None:
    data, _ = client.predict(handle_file(LION), MODEL, "", api_name="/explain")
    assert data["class"]["name"] == "lion"
