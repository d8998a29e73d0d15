"""TR-GBP Explorer: the page. Layout and wiring only; what it shows is computed in :mod:`trgbp_core.explorer.explorer`."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the page works, and stays silent, without a network

with contextlib.suppress(ImportError):
    import spaces  # noqa: F401 - a ZeroGPU Space needs it before torch

import gradio as gr

from trgbp_core.data import examples
from trgbp_core.engine import devices
from trgbp_core.explorer.explorer import DEFAULT_MODEL, NETWORK_BYTES, Explorer
from trgbp_core.explorer.links import Link
from trgbp_core.page import endpoints, layout
from trgbp_core.page.tabs import TABS, export, translation
from trgbp_core.page.tabs.context import PageContext
from trgbp_core.page.tabs.controls import Controls, class_picker
from trgbp_core.page.tabs.links import LinkFollower
from trgbp_core.serving.memory import keep_freed_memory
from trgbp_core.serving.server import Page, leave, page_device, serve
from trgbp_core.serving.workers import WORKERS
from trgbp_core.zoo.custom import named, preloaded
from trgbp_core.zoo.loading import ModelCache, Zoo


def build(explorer: Explorer, model: str = DEFAULT_MODEL) -> Page:
    """The page around one explorer."""
    with Page(title="TR-GBP Explorer") as demo:
        endpoints.add(explorer)  # before the page's own events, which would take the names
        with gr.Row(elem_id="tg-head"):
            gr.HTML(layout.TITLE, elem_id="tg-title")
            gr.HTML(js_on_load="TRGBP.mount('starts', element)", elem_id="tg-starts")
        with gr.Row(elem_id="tg-body"):
            with gr.Column(scale=0, min_width=270, elem_id="tg-side"):
                controls = Controls(explorer, model, list(examples.pictures().values()), examples.FIRST)
            with gr.Column(scale=1, min_width=300, elem_id="tg-main"):
                status = gr.Markdown("Opening the first example …", elem_id="tg-status")
                with gr.Row(elem_id="tg-answer"):
                    gr.HTML(js_on_load="TRGBP.mount('answer', element)", elem_id="tg-best")
                    wanted = class_picker()
                gr.HTML(js_on_load="TRGBP.mount('toolbar', element)", elem_classes="tg-toolbar")
                opened, question = gr.State("explain"), (controls.picture, controls.model, wanted)
                context = PageContext(explorer, *question, status, opened, demo.uploads.folder)
                tabs = gr.Tabs(overflow_behavior="wrap")
                LinkFollower(demo, context, controls, tabs, Link(model, examples.FIRST, tab="explain"))
                with tabs:
                    for build_tab in TABS:
                        build_tab(context)
                export.build(context)
                with gr.Accordion("Glossary", open=False, elem_id="tg-glossary"):
                    gr.Markdown(layout.asset("glossary.md"))
        context.render_unseen()
        controls.wire(demo, status)
        translation.translate(demo)
    return demo


def page_theme() -> gr.themes.Base:
    """Gradio's own theme, with buttons dark enough for white text (WCAG: contrast of 4.5 to 1)."""
    theme = gr.themes.Default(primary_hue="blue", font=layout.FONTS, font_mono=["ui-monospace", "monospace"])
    return theme.set(button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="app.py",
        description="TR-GBP Explorer: why an image classifier gave its answer, in the browser.",
        parents=[devices.option()],
    )
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1; 0.0.0.0 for everybody on the network)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also serve the page through a public link of Gradio's")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"the network that is selected first (default {DEFAULT_MODEL})")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="its weights: safetensors, or a checkpoint of plain tensors")
    parser.add_argument("--mcp", action="store_true", help="also serve the endpoints as tools for assistants, at /gradio_api/mcp/")
    return parser


def launch(argv: Sequence[str] = (), *, models: Mapping[str, Zoo] | None = None, **options: Any) -> Any:
    """Build the page and serve it.

    Args:
        argv: as on the command line. models: networks of your own by name, each made with :func:`trgbp_core.own_model`.
        options: go to Gradio's ``launch``.

    Raises:
        trgbp_core.ModelError: a name or a network that cannot be put on the page.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.mcp and importlib.util.find_spec("mcp") is None:
        parser.error("--mcp needs one more package: pip install 'gradio[mcp]'")
    own = named(models)
    try:
        device = page_device(arguments.device)
    except devices.DeviceError as error:
        parser.error(str(error))
    try:
        own |= WORKERS.run(lambda: preloaded(arguments.model, arguments.weights, own, device))
    except ValueError as error:
        parser.error(f"{error} `python -m trgbp_core models` lists the networks.")
    explorer = Explorer(ModelCache(NETWORK_BYTES, own=own, device=device))
    keep_freed_memory()
    return serve(
        build(explorer, arguments.model),
        server_name=arguments.host,
        server_port=arguments.port,
        share=arguments.share or None,
        mcp_server=arguments.mcp,
        theme=page_theme(),
        css=layout.asset("style.css") + layout.asset("stories.css"),
        head=layout.head(),
        i18n=translation.i18n(),
        ssr_mode=False,
        footer_links=["api"],
        **options,
    )


if __name__ == "__main__":
    launch(sys.argv[1:])
    leave()
