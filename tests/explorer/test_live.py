"""The camera's frames: the same maps as a picture's, nothing kept, and hostile ones refused."""

from __future__ import annotations

import base64
import io
import threading

import numpy as np
import pytest
from PIL import Image

from tests.support.own import small
from trgbp_core.data.crop import WHOLE
from trgbp_core.drawing.render import read_tile, shown
from trgbp_core.explorer import live
from trgbp_core.explorer.explorer import Explorer
from trgbp_core.zoo.loading import ModelCache


def sent(picture: Image.Image) -> str:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=95)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8))


@pytest.fixture
def explorer() -> Explorer:
    zoo = small()
    return Explorer(ModelCache(10**9, own={zoo.name: zoo}))


def test_a_frame_has_the_maps_of_a_picture_and_nothing_of_it_is_kept(explorer: Explorer) -> None:
    name, frame = explorer.entries()[0].name, live.read_frame(sent(noise(32)))
    found = [live.Camera(explorer).explain(frame, name, psi, "grad_cam") for psi in live.PSI]
    kept = ("_recordings", "_payloads", "_maps", "_class_maps", "_coverages", "_unpacked")
    assert not any(len(getattr(getattr(explorer, cache), "keys", ())) for cache in kept)
    question = explorer.ask(frame, name, WHOLE)
    for payload, key in zip(found, live.PSI.values(), strict=True):
        assert [answer["index"] for answer in payload["answers"]] == [k for k, _, _ in explorer.top(question)]
        k = payload["class"]["index"]
        for panel, method in zip(payload["panels"], (key, "grad_cam"), strict=True):
            expected = shown(explorer.attribution(question, k, method))
            assert np.abs(read_tile(panel["src"]) - expected).max() < 1 / 255 + 1e-6, method


@pytest.mark.parametrize(
    "wrong", [None, 7, "", "data:image/png;base64,AAAA", "data:image/jpeg;base64,?", "data:image/jpeg;base64,AAAA", "big", "long"]
)
def test_what_is_no_small_jpeg_is_refused_with_a_sentence(wrong: object) -> None:
    given = {"big": sent(Image.new("RGB", (1100, 8))), "long": sent(noise(1000))}.get(str(wrong), wrong)
    with pytest.raises(ValueError, match=r"\.$"):
        live.read_frame(given)


def test_while_others_ask_a_frame_is_given_up_and_so_is_one_too_many(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    name, camera = explorer.entries()[0].name, live.Camera(explorer)
    explorer.network(name)
    began, release = threading.Event(), threading.Event()
    other = threading.Thread(target=lambda: explorer.queue.run(lambda _: (began.set(), release.wait(20))))
    other.start()
    began.wait(20)
    monkeypatch.setattr(live, "WAIT_SECONDS", 0.1)
    assert camera.explain(noise(32), name, "smooth", "grad_cam") == {"waits": live.WAITS}
    release.set()
    other.join()
    for _ in range(live.AT_ONCE):
        camera._places.acquire()
    assert camera.explain(noise(32), name, "smooth", "grad_cam") == {"waits": live.WAITS}


def test_a_method_that_does_not_apply_and_choices_that_are_none_get_a_sentence(explorer: Explorer) -> None:
    name, camera = explorer.entries()[0].name, live.Camera(explorer)
    for psi, beside in (("paper", "grad_cam"), ("smooth", "blur_ig"), ("smooth", None), ([], "grad_cam")):
        with pytest.raises(ValueError, match="quick method"):
            camera.explain(noise(32), name, psi, beside)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="class"):
        camera.explain(noise(32), name, "smooth", "grad_cam", 10**6)
    for wanted in ("lion", True, -1, 1.5):
        with pytest.raises(ValueError, match="number"):
            live.sent_class(wanted)
