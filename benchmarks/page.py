"""How fast the page answers, measured in a real Chromium: ``python -m benchmarks page``.

Every line is a median and a 95th percentile beside what is asked for. Times begin with the event in the browser (a key, a press of the
mouse, a chosen file) and end after the frame in which the result is on the screen.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from playwright.sync_api import Browser, Page

from tests.browser.chromium import launched, with_camera
from tests.support.serving import served

EXAMPLES = Path(__file__).parents[1] / "assets" / "examples"
STOPWATCH = Path(__file__).with_name("stopwatch.js")
MODEL = "efficientnet_lite0"
WAIT = 120_000  # milliseconds; when to give up
OTHERS = ("espresso", "tiger", "volcano", "banana", "schooner", "Border collie", "acoustic guitar", "bee eater", "church", "fire engine")


@dataclass(frozen=True)
class Line:
    """One measured thing; ``values`` and ``limit`` in ``unit``. ``at_least``: more is better, and the lowest 5 % are asked for."""

    what: str
    values: list[float]
    limit: float | None
    unit: str = "ms"
    at_least: bool = False

    def row(self) -> str:
        middle, high = np.percentile(self.values, [50, 5 if self.at_least else 95], method="inverted_cdf")
        met = self.limit is not None and (high >= self.limit if self.at_least else high <= self.limit)
        verdict = "" if self.limit is None else "yes" if met else "**no**"
        asked = "" if self.limit is None else f"{'≥' if self.at_least else '≤'} {self.limit:g} {self.unit}"
        return f"| {self.what} | {len(self.values)} | {middle:.4g} | {high:.4g} {self.unit} | {asked} | {verdict} |"


def pictures(folder: Path) -> list[Path]:
    """Pictures that the server has not seen: the examples, mirrored and cut."""
    files = []
    for source in sorted(EXAMPLES.glob("*.jpg")):
        with Image.open(source) as picture:
            width, height = picture.size
            changed = ImageOps.mirror(picture).crop((width // 20, height // 20, width, height))
            changed.save(folder / source.name, quality=90)
        files.append(folder / source.name)
    return files


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(WAIT)
    page.add_init_script(path=str(STOPWATCH))
    page.goto(url)
    page.wait_for_function("document.body?.dataset.trgbpExplain")
    yield page
    page.close()


def starts(repeats: int, folder: Path) -> list[float]:
    """Seconds from ``python app.py`` to the first answer."""
    seconds = []
    for _ in range(repeats):
        begun = time.perf_counter()
        with served(folder / "log.txt", "app.py"):
            seconds.append(time.perf_counter() - begun)
    return seconds


def opening(browser: Browser, url: str, repeats: int) -> tuple[list[float], list[float]]:
    """Milliseconds from opening the page to its first contentful paint, and to the first explained picture."""
    paints, explained = [], []
    for _ in range(repeats):
        with opened(browser, url) as page:
            paints.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            explained.append(page.evaluate("stopwatch.explained"))
    return paints, explained


def slide(page: Page, control: str, canvas: str, last: int) -> list[float]:
    """Milliseconds from each key press on a slider to the frame with the next map, checked against the map shown at leisure."""
    slider = page.locator(f'input[data-control="{control}"]')
    slider.scroll_into_view_if_needed()
    slider.focus()
    page.keyboard.press("Home")
    page.evaluate(f"stopwatch.watch('{control}', {canvas!r})")
    for _ in range(last):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(40)  # a person's pace: presses that pile up would be measured together
    times, seen = page.evaluate("[stopwatch.times, stopwatch.seen]")
    page.keyboard.press("Home")
    page.evaluate(f"stopwatch.watch('{control}', {canvas!r})")
    for _ in range(last):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(150)
    assert seen == page.evaluate("stopwatch.late"), f"a frame of {control} showed another map than the one that was asked for"
    return list(times)


def opacity_and_colours(page: Page) -> tuple[list[float], list[float]]:
    """The same for the opacity's slider, and for the list of colour maps."""
    opacity = slide(page, "opacity", "#tg-explain .tg-hero canvas", 20)
    colours = []
    for name in ("jet", "viridis", "cividis", "gray", "inferno") * 3:
        page.evaluate("stopwatch.watch('colours', '#tg-explain .tg-hero canvas')")
        page.locator('select[data-control="colours"]').select_option(name)
        page.wait_for_timeout(200)
        colours += page.evaluate("stopwatch.times")
    return opacity, colours


def answered(page: Page, event: str) -> float:
    """Milliseconds from the last ``event`` to the frame with a newly explained picture or class."""
    page.wait_for_function("stopwatch.explained > stopwatch.armed")
    return float(page.evaluate(f"stopwatch.explained - stopwatch.last['{event}']"))


def classes(page: Page) -> tuple[list[float], list[float]]:
    """Milliseconds from picking a class to its map: one of the five best by its button, and any other from the list."""
    top, others = [], []
    box = page.locator("#tg-class input")
    for index in (1, 2, 3, 4, 0) * 2:
        page.evaluate("stopwatch.arm()")
        page.locator(".tg-answer").nth(index).click()
        top.append(answered(page, "mousedown"))
    for name in OTHERS:
        box.click()
        box.fill(name)
        page.wait_for_timeout(300)
        page.evaluate("stopwatch.arm()")
        box.press("Enter")
        others.append(answered(page, "keydown"))
    return top, others


def contrast_and_shares(page: Page) -> tuple[list[float], list[float]]:
    """Milliseconds from choosing a second class among the five best to the map of both, and from a click on the map to its bars."""
    select, place = page.locator('select[data-control="against"]'), page.locator('[data-control="place"]')

    def answered_after(event: str) -> float:
        page.wait_for_function("stopwatch.answered > stopwatch.armed")
        page.wait_for_timeout(300)
        return float(page.evaluate(f"stopwatch.answered - stopwatch.last['{event}']"))

    contrast, shares = [], []
    for i in range(8):
        page.evaluate("stopwatch.arm()")
        select.select_option(index=1 + i % 4)
        contrast.append(answered_after("change"))
    page.locator('[data-control="alone"]').click()
    for i in range(8):
        page.evaluate("stopwatch.arm()")
        place.click(position={"x": 60 + 25 * i, "y": 60 + 20 * i})
        shares.append(answered_after("click"))
    page.locator('[data-control="no-box"]').click()
    return contrast, shares


def upload(page: Page, files: list[Path]) -> tuple[list[float], list[float]]:
    """Milliseconds from choosing a file to its first map; bytes that came from the server until all frames were there."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    received, inside = [0], set[str]()  # what is written inside a page (data:) comes from no server, but is reported like the rest
    session.on("Network.requestWillBeSent", lambda e: inside.add(e["requestId"]) if e["request"]["url"].startswith("data:") else None)
    session.on("Network.dataReceived", lambda e: received.append(e["dataLength"]) if e["requestId"] not in inside else None)
    times, sizes = [], []
    for file in files:
        page.wait_for_timeout(500)
        received.clear()
        page.evaluate("stopwatch.arm()")
        page.locator("#tg-input input[type=file]").set_input_files(str(file))
        times.append(answered(page, "change"))
        page.wait_for_timeout(1000)
        sizes.append(sum(received) / 1e6)
    return times, sizes


def cascade(page: Page) -> tuple[float, float, float]:
    """Seconds to the trained network's maps, to the first randomised layer's, and to the last one's."""
    page.evaluate("stopwatch.arm()")
    page.get_by_role("tab", name="Sanity check").click()
    page.wait_for_function("stopwatch.stages.length && stopwatch.stages.at(-1).index === stopwatch.stages.at(-1).total")
    begun, stages = page.evaluate("[stopwatch.last.click, stopwatch.stages]")
    return tuple((stages[i]["time"] - begun) / 1000 for i in (0, 1, -1))  # type: ignore[return-value]


def cancelling(page: Page) -> float:
    """How many stages still arrive after Stop is pressed in the middle of a run, with a seed of which nothing is kept."""
    page.get_by_role("button", name="Options").locator("visible=true").click()
    page.locator("#tg-cascade-seed input").fill("1")
    page.locator("#tg-cascade-run").click()
    page.evaluate("stopwatch.arm()")
    page.wait_for_function("stopwatch.stages.length && stopwatch.stages.at(-1).index >= 3")
    page.evaluate("stopwatch.arm()")
    page.locator("#tg-cascade-stop").click()
    page.wait_for_timeout(3000)
    return float(page.evaluate("stopwatch.stages.filter(stage => stage.time > stopwatch.last.click).length"))


def camera(browser: Browser, url: str, place: Path, seconds: int = 20) -> list[float]:
    """Explained frames in each second, of a camera that shows a file, with Grad-CAM beside TR-GBP."""
    with with_camera(browser, place / "film.mjpeg") as second:
        page = second.new_page(permissions=["camera"])
        page.goto(f"{url}?tab=camera")
        page.wait_for_function("document.body?.dataset.trgbpExplain")
        page.locator("[data-control=camera-start]").click()
        shown = "Number(document.body.dataset.trgbpCamera || 0)"
        page.wait_for_function(f"{shown} >= 5")
        counts = [page.evaluate(shown)]
        for _ in range(seconds // 4):
            page.wait_for_timeout(4000)
            counts.append(page.evaluate(shown))
    return [(after - before) / 4 for before, after in itertools.pairwise(counts)]


def one_explanation() -> float:
    """Seconds of one explanation of the embedded network in a process of its own, the median of ten."""
    code = (
        "from trgbp_core.serving.memory import keep_freed_memory; keep_freed_memory()\n"
        "from trgbp_core import TRGBP, load_model; from benchmarks.machine import medians\n"
        f"zoo = load_model({MODEL!r}); x = zoo.preprocess({str(EXAMPLES / 'cheetah_and_lion.jpg')!r})\n"
        "explainer = TRGBP(zoo.network); print(medians({'e': lambda: explainer.explain(x, [0])}, 10)['e'])"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=EXAMPLES.parents[1]).stdout)


def shares_of_whole_maps() -> float:
    """The time of :meth:`Explanation.shares` over that of enlarging every layer's map and adding up its box."""
    code = (
        "from trgbp_core import TRGBP, load_model; from benchmarks.machine import medians\n"
        "from trgbp_core.engine.geometry import upsample\n"
        f"zoo = load_model({MODEL!r}); e = TRGBP(zoo.network).explain(zoo.preprocess({str(EXAMPLES / 'cheetah_and_lion.jpg')!r}), 291)\n"
        "def whole():\n"
        "    maps = (e.layer_attribution(l, 291, 'contribution') for l in range(len(e.layers) + 1))\n"
        "    return [upsample(m, e.size, 'conserving')[..., 56:112, 56:112].double().sum() for m in maps]\n"
        "found = medians({'shares': lambda: e.shares(291, (0.25, 0.25, 0.5, 0.5)), 'whole': whole}, 20)\n"
        "print(found['shares'] / found['whole'])"
    )
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=EXAMPLES.parents[1]).stdout)


def run(repeats: int) -> None:
    """Measure and print the table.

    Raises:
        ValueError: ``repeats`` is below 1.
    """
    if repeats < 1:
        raise ValueError("--repeats is at least 1.")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        explanation = one_explanation()
        lines = [Line("shares of a box ÷ those of whole enlarged maps", [shares_of_whole_maps()], 0.95, "×")]
        lines.append(Line("server up", starts(repeats, place), 8, "s"))
        with served(place / "log.txt", "app.py") as url, launched() as browser:
            lines += page_lines(browser, url, place, repeats, explanation)
            lines.append(Line("camera, explained frames", camera(browser, url, place), 4, "a second", at_least=True))
    print(f"{os.cpu_count()} cores; one explanation of {MODEL} (picked class and top 5): {1000 * explanation:.0f} ms\n")
    print("| measured | n | median | 95 % | asked | met |\n|---|---:|---:|---:|---:|---|")
    print("\n".join(line.row() for line in lines))


def page_lines(browser: Browser, url: str, place: Path, repeats: int, explanation: float) -> list[Line]:
    """All that is measured on an open page."""
    paints, first = opening(browser, url, repeats)
    lines = [Line("first contentful paint", paints, 1500), Line("opened to first explained picture", first, None)]
    with opened(browser, url) as page:
        page.wait_for_timeout(1000)
        layers = page.evaluate("TRGBP.state.data.explain.layers.length") - 1
        page.locator("[data-fold=inside] summary").click()
        lines.append(Line("layer slider, every layer", slide(page, "layer", "#tg-explain .tg-layers canvas", layers), 20))
        opacity, colours = opacity_and_colours(page)
        lines += [Line("opacity", opacity, 50), Line("colour map", colours, 50)]
        top, others = classes(page)
        lines += [Line("class among the top 5", top, 150), Line("any other class", others, 400)]
        contrast, shares = contrast_and_shares(page)
        lines += [Line("rather than another of the top 5", contrast, 100), Line("a click on the map to every layer's part", shares, 100)]
        times, sizes = upload(page, pictures(place))
        lines += [Line("new picture to its first map", times, 700), Line("bytes of one picture's frames", sizes, 1.5, "MB")]
        trained, stage, whole = cascade(page)
        lines += [Line("cascade, trained network", [trained], None, "s"), Line("cascade, first stage", [stage], 0.7, "s")]
        lines.append(Line("cascade, all stages ÷ one explanation", [whole / explanation], 55, "×"))
        lines.append(Line("cascade slider, every stage", slide(page, "stage", "#tg-cascade .tg-after canvas", 50), 20))
        lines.append(Line("stages that arrive after Stop", [cancelling(page)], 1, ""))
    return lines
