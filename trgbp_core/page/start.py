"""The page as a whole: layout, wiring, and the start of its server. What it shows is computed in :mod:`trgbp_core.explorer.explorer`."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the page works, and stays silent, without a network

import gradio as gr
import torch

from ..data import examples
from ..engine import devices
from ..explorer.explorer import DEFAULT_MODEL, NETWORK_BYTES, Explorer
from ..explorer.links import Link
from ..serving.memory import keep_freed_memory
from ..serving.server import Page, page_device, serve
from ..serving.workers import WORKERS
from ..zoo.custom import from_code, named, preloaded
from ..zoo.loading import ModelCache, ModelError, Zoo
from . import endpoints, layout
from .options import options as page_options
from .tabs import TABS, export, invitation
from .tabs.context import PageContext
from .tabs.controls import Controls, class_picker
from .tabs.links import LinkFollower


def build(explorer: Explorer, model: str = DEFAULT_MODEL, *, invites: bool = False) -> Page:
    """The page around one explorer; ``invites``: a button shows where others on the network find it."""
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
                if invites:
                    invitation.build(context, demo)
                with gr.Accordion("Glossary", open=False, elem_id="tg-glossary"):
                    gr.Markdown(layout.asset("glossary.md"))
        context.render_unseen()
        controls.wire(demo, status)
    return demo


def page_theme() -> gr.themes.Base:
    """Gradio's own theme, with buttons and quiet words dark enough beside white (WCAG: contrast of 4.5 to 1)."""
    theme = gr.themes.Default(primary_hue="blue", font=layout.FONTS, font_mono=["ui-monospace", "monospace"])
    return theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        body_text_color_subdued="*neutral_500",
    )


def launch(argv: Sequence[str] = (), *, models: Mapping[str, Zoo] | None = None, **options: Any) -> Any:
    """Build the page and serve it.

    Args:
        argv: as on the command line. models: networks of your own by name, each made with :func:`trgbp_core.own_model`.
        options: go to Gradio's ``launch``.

    Raises:
        trgbp_core.ModelError: a name or a network that cannot be put on the page.
    """
    what = "TR-GBP Explorer: why an image classifier gave its answer, in the browser."
    parser = argparse.ArgumentParser(prog="app.py", description=what, parents=[devices.option()], allow_abbrev=False)
    page_options(parser)
    arguments, own = parser.parse_args(argv), named(models)
    try:
        explorer, first = _explorer(arguments, own)
    except ValueError as error:
        parser.error(str(error))
    return _served(explorer, first, arguments, options)


def start(arguments: argparse.Namespace) -> Any:
    """Serve the page as the arguments say.

    Raises:
        ValueError: an option that cannot be followed, in a sentence.
    """
    return _served(*_explorer(arguments, {}), arguments, {})


def _explorer(arguments: argparse.Namespace, own: dict[str, Zoo]) -> tuple[Explorer, str]:
    """The explorer with all networks that were given, and the name of the one that is selected first."""
    if arguments.mcp and importlib.util.find_spec("mcp") is None:
        raise ValueError("--mcp needs one more package: pip install 'gradio[mcp]'")
    device = page_device(arguments.device)
    try:
        given, first = WORKERS.run(lambda: _given(arguments, own, device))
    except ValueError as error:
        raise ValueError(f"{error} `trgbp models` lists the networks.") from error
    return Explorer(ModelCache(NETWORK_BYTES, own=given, device=device)), first


def _given(arguments: argparse.Namespace, own: dict[str, Zoo], device: torch.device) -> tuple[dict[str, Zoo], str]:
    specs = [spec for word in arguments.network for spec in word.replace(",", " ").split()]
    if arguments.model is None and len(specs) > 1 and arguments.weights is not None:
        raise ModelError("--weights goes with one network: name a single --network, or --model.")
    weights = arguments.weights if arguments.model is None else None
    coded = [from_code(spec, weights).to(device) for spec in specs]
    given = own | named({zoo.name: zoo for zoo in coded})
    if len(given) < len(own) + len(coded):
        raise ModelError("Two networks have the same name: give each its own, own_model(network, labels, name=…).")
    if arguments.model is None and coded:
        return given, coded[0].name
    first = arguments.model or DEFAULT_MODEL
    return given | preloaded(first, arguments.weights, given, device), first


def _served(explorer: Explorer, first: str, arguments: argparse.Namespace, options: Mapping[str, Any]) -> Any:
    keep_freed_memory()
    return serve(
        build(explorer, first, invites=arguments.share or invitation.is_served_to_others(arguments.host)),
        server_name=arguments.host,
        server_port=arguments.port,
        share=arguments.share or None,
        mcp_server=arguments.mcp,
        theme=page_theme(),
        css=layout.styles(),
        head=layout.head(),
        ssr_mode=False,
        footer_links=["api"],
        **options,
    )
