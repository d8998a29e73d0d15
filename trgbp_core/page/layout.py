"""Questions as the page sends them, answers with a sentence for the status line, and the page's own files."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio_client.utils import is_file_obj_with_meta
from PIL import Image

from ..data import assets, examples, images
from ..data.crop import CENTRE, Crop
from ..data.labels import percent
from ..drawing.render import COLOUR_MAPS, DIVERGING, data_uri, lookup
from ..engine.layer_order import layer_groups
from ..explorer import contrast, networks
from ..explorer.explorer import Explorer, Payload, Question, named_class
from ..explorer.links import Link
from ..explorer.networks import Row
from ..methods import METHODS
from ..serving.jobs import Step, Update, streamed
from ..zoo.loading import Entry

ASSETS = assets.folder("page")
SCRIPTS = """
    gradio colour_maps elements box classes crop contrast shares explain_panels compare_panels sanity measure brush predict camera many
    invite links learn panels
""".split()
STYLES = ("style.css", "state.css", "stories.css")
VIEW_SIDE = 360
"""Pixels of the longer side of the picture in which the crop is shown."""

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
TITLE = "<h1>TR-GBP Explorer</h1><p>Which pixels led the network to its answer?</p>"
_answers = itertools.count(1)
"""The page notices only what differs from the answer before."""


@dataclass(frozen=True)
class Answer:
    """``payload`` is None where something was wrong; ``status`` says what in a sentence.

    ``value``: the class that is explained. ``failed``: what the page shows answers another question.
    """

    payload: Payload | None
    status: str
    value: str | None = None
    failed: bool = False


def asset(name: str) -> str:
    """The text of one of the page's own files."""
    return (ASSETS / name).read_text(encoding="utf-8")


def styles() -> str:
    """The page's style sheets, one after the other."""
    return "".join(map(asset, STYLES))


def head() -> str:
    """The page's head: colour maps (256 × RGB, base64), scripts, and no animations for visitors who want none."""
    colours = {name: base64.b64encode(lookup(name).tobytes()).decode() for name in (*COLOUR_MAPS, DIVERGING)}
    scripts = [f"window.TRGBP_COLOURS = {json.dumps(colours)};", *(asset(f"{name}.js") for name in SCRIPTS)]
    return f"<style>{asset('still.css')}</style>" + "".join(f"<script>{script}</script>" for script in scripts)


def model_choices(entries: Iterable[Entry], *, offline: bool = False) -> list[tuple[str, str]]:
    """(title, name) of every network; those that must be downloaded say how much, or that no server is reached."""

    def mark(entry: Entry) -> str:
        return "" if entry.available else " · cannot be downloaded now" if offline else f" ↓ {entry.download_size / 1e6:.0f} MB"

    return [(e.title + mark(e), e.name) for e in entries]


def picture_of(given: Any) -> tuple[Image.Image, str]:
    """(the picture, which part of it is asked about) of what a page sends: a file, ``{"file": …, "crop": …}``, or a PIL image.

    Raises:
        ValueError: there is no picture, it cannot be read, or there is no such crop, with a sentence.
    """
    file, crop = (given.get("file"), given.get("crop")) if isinstance(given, dict) and "file" in given else (given, None)
    if not file:
        raise ValueError("There is no picture yet: upload one, paste one, or pick an example.")
    if isinstance(file, Image.Image):
        return images.read(file), str(Crop.read(crop or CENTRE))
    # Of what is marked as a file, and of nothing else, Gradio has made sure that the visitor may name it: no path is opened without.
    if not is_file_obj_with_meta(file):
        raise ValueError("A picture is a file that was uploaded.")
    return images.read(file["path"]), str(Crop.read(crop or CENTRE))


def paths_of(files: Any) -> list[Path]:
    """The visitor's files; raises ValueError with a sentence where there are none, or something else is sent."""
    given = files if isinstance(files, list) else [files] if files else []
    if not given:
        raise ValueError("There are no pictures yet: put some in, or take a prepared set.")
    if not all(is_file_obj_with_meta(file) for file in given):
        raise ValueError("A picture is a file that was uploaded.")
    return [Path(file["path"]) for file in given]


def ask(explorer: Explorer, picture: Any, model: str) -> Question:
    """The question about ``picture``, see :func:`picture_of`; raises ValueError with a sentence if that or the network is wrong."""
    offered(explorer, model)
    image, crop = picture_of(picture)
    return explorer.ask(image, model, crop)


def rows(explorer: Explorer, picture: Any, models: str, wanted: Any, step: Step | None = None) -> list[Row]:
    """What each of the networks, parted by commas, makes of ``picture``, see :func:`networks.rows`; raises as :func:`ask` does."""
    names = [name.strip() for name in models.split(",")]
    for model in names:
        offered(explorer, model)
    image, crop = picture_of(picture)
    return networks.rows(explorer, image, names, None if wanted == "" else wanted, crop, step)


def offered(explorer: Explorer, model: str) -> Entry:
    """The network of that name; raises ValueError if the page does not offer it, so that nothing else can be downloaded."""
    found = {entry.name: entry for entry in explorer.entries()}.get(model)
    if found is None:
        raise ValueError(f"There is no network {str(model)[:60]!r} here; pick one of the list.")
    return found


def known_methods(keys: Any) -> list[str]:
    """``keys`` in the order of METHODS if they are a list of methods; raises ValueError with a sentence otherwise."""
    if keys is not None and not isinstance(keys, list):
        raise ValueError(f"Methods are a list of keys, such as {list(METHODS)[:2]}, not {str(keys)[:60]!r}.")
    if not keys:
        raise ValueError("No method is ticked: open “Which methods” and tick some.")
    unknown = [key for key in keys if not isinstance(key, str) or key not in METHODS]
    if unknown:
        raise ValueError(METHODS.unknown(str(unknown[0])[:60]))
    return [key for key in METHODS if key in keys]


def packed(payload: Payload) -> str:
    """A payload as one text: Gradio's page copies the values of its components whenever an event's status changes; a text costs nothing."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def explain(
    explorer: Explorer,
    picture: Any,
    model: str,
    asked: Mapping[str, int],
    step: Step | None = None,
    shown: str = "",
    kept: str = "",
) -> Iterator[Answer]:
    """All that the tab Explain shows of a picture: the class that is explained, then the rest of the top 5.

    Args:
        asked: the class to explain by the key of the question; the best class where there is none. kept: the class, whatever the question.
        shown: the key of the question that the page shows; for that one only the class is sent, with a number.
        step: called with the place in the queue; may raise to stop.
    """
    try:
        image, crop = picture_of(picture)
        offered(explorer, model)
        question = explorer.ask(image, model, crop)
        named, parts = named_class(question, kept or asked.get(question.key)), iter(list[Payload]())
        about = {"link": {"image": examples.name_of(image), "model": model}, "view": view(image, question)}
        if shown == question.key:
            first = explorer.further_class(question, explorer.find_class(question, named, step), step) | {"again": next(_answers)}
        else:
            parts = explorer.explain_at_once(question, named, step)
            first = next(parts) | about | {"choices": class_choices(explorer, question)}
        yield Answer(first, said(question, first["chosen"]))
        yield from (Answer(part, "") for part in parts)
    except ValueError as error:
        yield Answer(None, f"**{error}**", failed=True)


def class_choices(explorer: Explorer, question: Question) -> list[tuple[str, str]]:
    """What the class picker offers: every class as (name, number), the best first."""
    best = explorer.top(question)
    top = {i for i, _, _ in best}
    choices = [(f"{name} · {percent(p).replace('%', ' %')}", str(i)) for i, name, p in best]
    return choices + [(f"{name} · {i}", str(i)) for i, name in enumerate(question.zoo.labels) if i not in top]


def view(picture: Image.Image, question: Question) -> Payload:
    """The whole picture, small, and what of it the network sees: ``whole``, ``size``; ``crop``, and ``region`` in fractions."""
    scale = min(1.0, VIEW_SIDE / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=2.0)
    region = question.zoo.preprocess.region(picture.size, question.crop)
    return {"whole": data_uri(small, "JPEG", quality=80), "size": picture.size, "crop": question.crop, "region": region}


def explain_class(explorer: Explorer, picture: Any, model: str, wanted: Any, known: bool, step: Step | None = None) -> Iterator[Answer]:
    """What a further class adds to the picture that is shown; the sentence alone where the page has the class already (``known``)."""
    try:
        question = ask(explorer, picture, model)
        k = explorer.find_class(question, wanted, step)
        payload = None if known else explorer.further_class(question, k, step) | {"number": next(_answers)}
        yield Answer(payload, said(question, k), value=str(k))
    except ValueError as error:
        yield Answer(None, f"**{error}**", failed=True)


def said(question: Question, k: int) -> str:
    """The heading of the strip of the best classes, which itself says how probable each is."""
    heading = f"The best classes of {question.zoo.title} for this picture."
    return f"{heading} Explained: **{question.zoo.labels[k]}**. Click another to explain it."


def with_progress(work: Callable[[Step], Iterator[Answer]]) -> Iterator[Answer]:
    """The answers of ``work``, which runs in a thread of its own, and its progress as answers without a payload."""
    for event in streamed(work):
        if isinstance(event, Update):
            yield Answer(None, waiting(event))
        else:
            yield event


def waiting(event: Update) -> str:
    """Progress as a sentence; empty where there is none."""
    return f"{event.what[:1].upper()}{event.what[1:]} …" if event.what else ""


def follow(explorer: Explorer, question: Question, link: Link) -> tuple[int, Link, list[str]]:
    """The class that ``link`` asks for, ``link`` with what exists of it, and a sentence for everything that does not."""
    missing = []
    try:
        k = explorer.find_class(question, link.wanted)
    except ValueError as error:
        missing.append(f"{error} The best class is explained instead{', and compared with no other' if link.against else ''}.")
        k, link = explorer.find_class(question, None), replace(link, against="")
    if link.against:
        try:
            j = contrast.other_class(explorer.find_class(question, link.against), k)
            if j not in explorer.explanation(question, k).top5:
                raise ValueError(f"{question.zoo.labels[j]} is not among the best classes, which are compared here.")
            link = replace(link, against=str(j))
        except ValueError as error:
            missing.append(str(error))
            link = replace(link, against="")
    layers, stages, title = len(explorer.explanation(question, k).layers), len(layer_groups(question.zoo.network)), question.zoo.title
    if link.layer is not None and link.layer > layers:
        missing.append(f"{title} has layers 0 to {layers}; this link asks for {link.layer}.")
        link = replace(link, layer=None)
    if link.stage > stages:
        missing.append(f"{title} has {stages} layers to randomise; this link asks for {link.stage}.")
        link = replace(link, stage=0)
    return k, link, missing


def whole(value: Any, what: str, lowest: int = -(2**63)) -> int:
    """``value`` as a whole number of at least ``lowest``; raises ValueError with a sentence otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not lowest <= value < 2**63 or value != int(value):
        at_least = f" of at least {lowest}" if lowest >= 0 else ""
        raise ValueError(f"A {what} is a whole number{at_least}, not {str(value)[:60]}.")
    return int(value)


def list_input(of: str, value: list[Any] | None, **options: Any) -> gr.JSON:
    """An input that takes a list. Gradio's JSON says nothing valid of its type, and an assistant's tool needs one."""
    component = gr.JSON(value, **options)
    component.api_info = lambda: {"type": "array", "items": {"type": of}, "description": options["label"]}  # type: ignore[method-assign]
    return component
