"""The page as a whole: layout, wiring, and the start of its server. What it shows is computed in :mod:`trgbp_core.explorer.explorer`."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the page works, and stays silent, without a network

import gradio as gr

from ..data import examples
from ..engine import devices
from ..explorer.explorer import DEFAULT_MODEL, NETWORK_BYTES, Explorer
from ..explorer.links import Link
from ..serving.memory import keep_freed_memory
from ..serving.server import Page, page_device, serve
from ..serving.workers import WORKERS
from ..zoo.custom import named, preloaded
from ..zoo.loading import ModelCache, Zoo
from . import endpoints, layout
from .options import options as page_options
from .tabs import TABS, export, translation
from .tabs.context import PageContext
from .tabs.controls import Controls
from .tabs.links import LinkFollower


def build(explorer: Explorer, model: str = DEFAULT_MODEL) -> Page:
    """The page around one explorer."""
    with Page(title="TR-GBP Explorer") as demo:
        endpoints.add(explorer)  # before the page's own events, which would take the names
        gr.HTML(layout.TITLE, elem_id="tg-title")
        with gr.Row():
            with gr.Column(scale=0, min_width=270, elem_id="tg-side"):
                controls = Controls(explorer, model, list(examples.pictures().values()), examples.FIRST)
            with gr.Column(scale=1, min_width=300):
                status = gr.Markdown("Opening the first example …", elem_id="tg-status")
                gr.HTML(js_on_load="TRGBP.mount('toolbar', element)", elem_classes="tg-toolbar")
                opened, question = gr.State("explain"), (controls.picture, controls.model, controls.wanted)
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


def launch(argv: Sequence[str] = (), *, models: Mapping[str, Zoo] | None = None, **options: Any) -> Any:
    """Build the page and serve it.

    Args:
        argv: as on the command line. models: networks of your own by name, each made with :func:`trgbp_core.own_model`.
        options: go to Gradio's ``launch``.

    Raises:
        trgbp_core.ModelError: a name or a network that cannot be put on the page.
    """
    what = "TR-GBP Explorer: why an image classifier gave its answer, in the browser."
    parser = argparse.ArgumentParser(prog="app.py", description=what, parents=[devices.option()])
    page_options(parser)
    arguments, own = parser.parse_args(argv), named(models)
    try:
        explorer = _explorer(arguments, own)
    except ValueError as error:
        parser.error(str(error))
    return _served(explorer, arguments, options)


def start(arguments: argparse.Namespace) -> Any:
    """Serve the page as the arguments say.

    Raises:
        ValueError: an option that cannot be followed, in a sentence.
    """
    return _served(_explorer(arguments, {}), arguments, {})


def _explorer(arguments: argparse.Namespace, own: dict[str, Zoo]) -> Explorer:
    if arguments.mcp and importlib.util.find_spec("mcp") is None:
        raise ValueError("--mcp needs one more package: pip install 'gradio[mcp]'")
    device = page_device(arguments.device)
    try:
        given = own | WORKERS.run(lambda: preloaded(arguments.model, arguments.weights, own, device))
    except ValueError as error:
        raise ValueError(f"{error} `trgbp models` lists the networks.") from error
    return Explorer(ModelCache(NETWORK_BYTES, own=given, device=device))


def _served(explorer: Explorer, arguments: argparse.Namespace, options: Mapping[str, Any]) -> Any:
    keep_freed_memory()
    return serve(
        build(explorer, arguments.model),
        server_name=arguments.host,
        server_port=arguments.port,
        share=arguments.share or None,
        mcp_server=arguments.mcp,
        theme=page_theme(),
        css=layout.asset("style.css"),
        head=layout.head(),
        i18n=translation.i18n(),
        ssr_mode=False,
        footer_links=["api"],
        **options,
    )
