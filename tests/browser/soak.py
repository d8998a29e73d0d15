"""``python -m tests.browser.soak --minutes 20``: visitors who do anything at all, in Chromium, against a server of its own on this machine.

Actions are drawn with a seed, valid and invalid ones, from two visitors on the page and one stranger at the endpoints. At the end: what was
done, what broke (server errors, console errors, answers 5xx), and whether memory stayed flat. Exit code 1 if anything broke.
"""

from __future__ import annotations

import argparse
import collections
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page

from ..support.pictures import encoded
from ..support.serving import running
from ..support.strangers import CALLS, FILES, LION, MODEL, PICTURE, Stranger, inputs
from .chromium import EXAMPLES, WAIT, launched

MOVE = "(i, to) => { i.value = Number(i.min) + to * (i.max - i.min); i.dispatchEvent(new Event('input', {bubbles: true})); }"


def memory(process: int) -> float:
    """Resident megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


class Visitor:
    """One browser tab, and what may be done in it."""

    def __init__(self, browser: Browser, url: str, draw: random.Random, faults: list[str]) -> None:
        self.browser, self.url, self.draw, self.faults = browser, url, draw, faults
        self.open()

    def open(self) -> None:
        width = self.draw.choice([390, 768, 1280])
        self.page: Page = self.browser.new_page(viewport={"width": width, "height": 800})
        self.page.set_default_timeout(WAIT)
        self.page.on("console", lambda m: self.faults.append(f"console: {m.text} ({m.location['url']})") if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.faults.append(f"page: {e}"))
        self.page.on("response", lambda r: self.faults.append(f"{r.status} {r.url}") if r.status >= 500 else None)
        self.page.goto(self.url)
        self.page.wait_for_function("document.body.dataset.trgbpExplain")

    def good_picture(self) -> None:
        values = np.random.default_rng(self.draw.randrange(40)).integers(0, 256, (60, 90, 3), dtype=np.uint8)
        content = self.draw.choice([encoded(values, "PNG"), *(path.read_bytes() for path in sorted(EXAMPLES.glob("*.jpg")))])
        self._put_in("good.jpg", content)

    def bad_file(self) -> None:
        self._put_in(*FILES[self.draw.choice(sorted(FILES))])

    def _put_in(self, name: str, content: bytes) -> None:
        self.page.locator("#tg-input input[type=file]").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})

    def any_class(self) -> None:
        field = self.page.locator("#tg-class input")
        field.fill(self.draw.choice(["lion", "tabby", "999", "1000", "-1", "<b>x</b>", "a", "", "espresso", "NaN"]))
        field.press("Enter")

    def any_tab(self) -> None:
        tabs = self.page.get_by_role("tab").all()
        self.draw.choice(tabs).click()

    def sliders(self) -> None:
        for slider in self.page.locator("input[type=range]:visible").all():
            slider.evaluate(MOVE, self.draw.random())

    def methods(self) -> None:
        boxes = self.page.locator("input[type=checkbox]:visible").all()
        for box in self.draw.sample(boxes, min(2, len(boxes))):
            box.click()
        for fold in self.page.get_by_role("button", name="Which methods").all():
            if fold.is_visible():
                fold.click()

    def buttons(self) -> None:
        pressed = [b for b in self.page.locator("button[id^=tg-]:visible, [id^=tg-] button.primary:visible").all() if b.is_enabled()]
        if pressed:
            self.draw.choice(pressed).click()
            self.page.wait_for_timeout(self.draw.randrange(3000))

    def leave_and_come_back(self) -> None:
        self.page.close()
        self.open()

    def act(self) -> str:
        weights = {self.good_picture: 4, self.bad_file: 3, self.any_class: 4, self.any_tab: 4, self.sliders: 3, self.methods: 2}
        weights |= {self.buttons: 3, self.leave_and_come_back: 1}
        action: Callable[[], None] = self.draw.choices(list(weights), list(weights.values()))[0]
        action()
        self.page.wait_for_timeout(self.draw.randrange(800))
        return action.__name__


def call(stranger: Stranger, draw: random.Random, lion: dict[str, Any], faults: list[str]) -> str:
    """One good or bad call of an endpoint."""
    name = draw.choice([*CALLS, "good"])
    endpoint, asked = CALLS.get(name, ("explain", [PICTURE, MODEL, str(draw.randrange(1000))]))
    reply = stranger.call(endpoint, inputs(asked, lion))
    if reply.status >= 500 or (name == "good") != bool(reply.data):
        faults.append(f"endpoint, {name}: {reply.status} {reply.sentence}")
    return "call"


def soak(minutes: float, seed: int) -> int:
    draw, faults = random.Random(seed), list[str]()
    done, seen = collections.Counter[str](), list[tuple[float, float, float]]()
    with tempfile.TemporaryDirectory() as folder, launched() as browser:
        log = Path(folder, "log.txt")
        with running(log, "app.py", faults=True) as (url, server):
            visitors = [Visitor(browser, url, draw, faults) for _ in range(2)]
            stranger = Stranger(url)
            start = time.monotonic()
            while (elapsed := time.monotonic() - start) < 60 * minutes and server.poll() is None:
                if draw.random() < 0.2:
                    done[call(stranger, draw, stranger.upload(LION), faults)] += 1
                else:
                    done[draw.choice(visitors).act()] += 1
                heap = visitors[0].page.evaluate("performance.memory.usedJSHeapSize") / 2**20
                seen.append((elapsed / 60, memory(server.pid), heap))
            faults += [] if server.poll() is None else [f"the server ended by itself with {server.returncode}"]
            for visitor in visitors:
                visitor.page.close()  # before the server ends: its open streams would break off in the browser's console
        said = log.read_text().splitlines()
        faults += [line for line in said if "Traceback" in line or "A fault inside" in line]
    if faults:
        print(*said[-40:], sep="\n")
    return report(done, seen, faults)


def report(done: collections.Counter[str], seen: list[tuple[float, float, float]], faults: list[str]) -> int:
    """Print it; the exit code."""
    print(f"{sum(done.values())} actions: {', '.join(f'{name} {count}' for name, count in done.most_common())}")
    quarters = [seen[i * len(seen) // 4 : (i + 1) * len(seen) // 4] for i in range(4)]
    print("| quarter | server, MB (median) | largest | a page's heap, MB (median) |\n|---:|---:|---:|---:|")
    for i, part in enumerate(quarters, 1):
        middle, largest, heap = statistics.median(m for _, m, _ in part), max(m for _, m, _ in part), statistics.median(h for *_, h in part)
        print(f"| {i} | {middle:.0f} | {largest:.0f} | {heap:.0f} |")
    # The caches fill in the first half; what grows after that, by more than what comes and goes with a request, would grow for ever.
    before, after = (statistics.median(m for _, m, _ in part) for part in (quarters[1], quarters[3]))
    if after > 1.1 * before + 100:
        faults.append(f"memory grew from {before:.0f} to {after:.0f} MB between the second and the last quarter")
    for fault, count in collections.Counter(faults).most_common():
        print(f"FAULT ({count}×): {fault}")
    print("nothing broke" if not faults else f"{len(faults)} faults")
    return bool(faults)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.soak", description="Random visitors against the page, on this machine.")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    return soak(min(arguments.minutes, 120.0), arguments.seed)


if __name__ == "__main__":
    sys.exit(main())
