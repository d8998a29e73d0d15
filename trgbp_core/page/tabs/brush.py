"""The part of the tab Explain in which the picture is changed: the changed one becomes the page's picture."""

from __future__ import annotations

from typing import Any

import gradio as gr
from PIL import Image

from ...data import brush
from ...serving.uploads import written
from .. import layout
from .context import HEAVY, QUIET, PageContext


def build(context: PageContext) -> None:
    """To be called within the tab."""
    folder = context.folder

    def paint(picture: Any, stroke: Any) -> tuple[Any, str]:
        try:
            image, _ = layout.picture_of(picture)
            return written(painted(image, stroke), folder), ""
        except ValueError as error:
            return gr.skip(), f"**{error}**"

    context.panel("brush")
    line = context.status_line("brush")
    stroke = context.carrier("stroke", "TRGBP.stroke = (asked) => { props.value = asked; trigger('submit'); };")
    done = stroke.submit(paint, [context.picture, stroke], [context.image, line], **HEAVY)
    done.then(None, context.image, None, js="(image) => { TRGBP.painted(image); }", **QUIET)


def painted(picture: Image.Image, stroke: Any) -> Image.Image:
    """``picture`` after a stroke as the browser sends it: ``how``, ``box``, and of a copy ``from``, a picture, and its ``part``.

    Raises:
        ValueError: it is no stroke, in a sentence.
    """
    given = stroke if isinstance(stroke, dict) else {}
    how, box = given.get("how"), brush.read_box(given.get("box"))
    if how != "copy":
        return brush.covered(picture, box, str(how))
    source, _ = layout.picture_of(given.get("from"))
    return brush.copied(source, brush.read_box(given.get("part")), picture, box)
