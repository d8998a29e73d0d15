"""TR-GBP Explorer: the page. Layout and wiring only; what it shows is computed in :mod:`trgbp_core.explorer`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the page works, and stays silent, without a network

import gradio as gr

from trgbp_core import endpoints, images, page
from trgbp_core.baselines import METHODS
from trgbp_core.cascade import MODES
from trgbp_core.explorer import DEFAULT_MODEL, NETWORK_BYTES, Explorer
from trgbp_core.fetching import Fetching, Step
from trgbp_core.memory import keep_freed_memory
from trgbp_core.models import ModelCache, Zoo
from trgbp_core.own import named

EXAMPLES = sorted((Path(__file__).parent / "assets" / "examples").glob("*.jpg"))
FIRST = "cheetah_and_lion.jpg"
DEFAULT_METHODS = ["tr_gbp_conserving", "tr_gbp", "guided_backprop", "saliency", "grad_cam"]
TABS = ("explain", "classes", "compare", "cascade")


def read_upload(payload: Any) -> Any:
    """What a visitor put in, as an RGB picture; what cannot be read arrives as the error that says why."""
    if payload is None:
        return None
    try:
        return images.read(payload.path)
    except images.ImageError as error:
        return error


def build(explorer: Explorer, model: str = DEFAULT_MODEL) -> gr.Blocks:
    """The page around one explorer."""
    with gr.Blocks(title="TR-GBP Explorer", delete_cache=(3600, 7200)) as demo:
        gr.HTML(page.TITLE, elem_id="tg-title")
        with gr.Row():
            with gr.Column(scale=0, min_width=270, elem_id="tg-side"):
                side = _side(explorer, model)
            with gr.Column(scale=1, min_width=300):
                status = gr.Markdown("Opening the first example …", elem_id="tg-status")
                gr.HTML(js_on_load="TRGBP.mount('toolbar', element)", elem_classes="tg-toolbar")
                with gr.Tabs(overflow_behavior="wrap"):
                    controls = _tabs()
        data = {name: _data(name) for name in ("explain", "compare", "cascade")}
        endpoints.add(explorer)  # before the page's own events, which would take the names
        _wire(demo, explorer, side, status, gr.State("explain"), controls, data)
    return demo


def _side(explorer: Explorer, model: str) -> tuple[gr.Image, gr.Dropdown, gr.Dropdown, gr.Button]:
    first = next((str(path) for path in EXAMPLES if path.name == FIRST), None)
    picture = gr.Image(
        first, label="Picture", sources=["upload", "clipboard", "webcam"], height=210, elem_id="tg-input", buttons=[], type="filepath"
    )
    picture.preprocess = read_upload  # type: ignore[method-assign] # instead of Gradio's own reading, which knows fewer sentences
    wanted = gr.Dropdown(
        [],
        label="Class to explain",
        info="Type to search all classes. The network's five best come first.",
        elem_id="tg-class",
        allow_custom_value=True,
    )
    network = gr.Dropdown(
        page.model_choices(explorer.entries()),
        value=model,
        label="Network",
        info="What looks at the picture. Those marked ↓ are downloaded once.",
        elem_id="tg-model",
    )
    cancel = gr.Button("Cancel the download", visible=False, size="sm", elem_id="tg-cancel")
    gr.Examples([[str(path)] for path in EXAMPLES], picture, label="Examples", examples_per_page=8)
    return picture, network, wanted, cancel


def _tabs() -> dict[str, Any]:
    """The tabs by name, and what is in them that starts or stops something."""
    with gr.Tab("Explain", id="explain") as explain:
        gr.HTML(js_on_load="TRGBP.mount('explain', element)", elem_id="tg-explain")
    with gr.Tab("Classes", id="classes") as classes:
        gr.HTML(js_on_load="TRGBP.mount('classes', element)", elem_id="tg-classes")
    with gr.Tab("Compare", id="compare") as compare_tab:
        gr.HTML(js_on_load="TRGBP.mount('compare', element)", elem_id="tg-compare")
        choices = [(method.title, key) for key, method in METHODS.items()]
        with gr.Accordion("Which methods", open=False):
            info = "Each explains the same class of the same picture; the fast ones appear first."
            methods = gr.CheckboxGroup(choices, value=DEFAULT_METHODS, label="Methods", info=info)
        with gr.Row(elem_classes="tg-buttons"):
            compare = gr.Button("Compare", variant="primary", elem_id="tg-compare-run")
            stop_compare = gr.Button("Stop", elem_id="tg-compare-stop")
    with gr.Tab("Sanity check", id="cascade") as cascade_tab:
        with gr.Row(elem_classes="tg-buttons"):
            run = gr.Button("Randomise layer by layer", variant="primary", elem_id="tg-cascade-run")
            stop = gr.Button("Stop", elem_id="tg-cascade-stop")
        gr.HTML(js_on_load="TRGBP.mount('cascade', element)", elem_id="tg-cascade")
        options = _cascade_options(choices)
    return options | {
        "explain_tab": explain,
        "classes_tab": classes,
        "compare": compare,
        "compare_tab": compare_tab,
        "cascade_tab": cascade_tab,
        "methods": methods,
        "stop_compare": stop_compare,
        "run": run,
        "stop": stop,
    }


def _cascade_options(methods: list[tuple[str, str]]) -> dict[str, Any]:
    with gr.Accordion("Options", open=False):
        info = "Computed at every stage; slow methods make the cascade slow."
        baseline = gr.Dropdown(methods, value="grad_cam", label="Method beside TR-GBP", info=info)
        kinds = ("Gaussian, zero mean (Theorem 1)", "Initialise anew: batch-norm biases become zero, and their Rˡ vanish")
        info = "Gaussian weights keep each layer's size."
        mode = gr.Radio(list(zip(kinds, MODES, strict=True)), value=MODES[0], label="What a randomised layer becomes", info=info)
        seed = gr.Number(0, precision=0, minimum=0, maximum=2**31 - 1, label="Seed", info="The same seed draws the same weights.")
    return {"baseline": baseline, "mode": mode, "seed": seed}


def _data(name: str) -> gr.HTML:
    """Carries a payload to the browser's part of the page; nothing of it is seen."""
    watch = f"watch('value', () => TRGBP.receive('{name}', props.value)); TRGBP.receive('{name}', props.value);"
    return gr.HTML(None, html_template="<i></i>", js_on_load=watch, elem_classes="tg-data", elem_id=f"tg-data-{name}")


def _wire(
    demo: gr.Blocks,
    explorer: Explorer,
    question: tuple[Any, Any, Any, Any],
    status: gr.Markdown,
    seen: gr.State,
    controls: dict[str, Any],
    data: dict[str, gr.HTML],
) -> None:
    """Who asks for what. Every handler answers with a sentence for the status line; what could not be computed stays as it was."""
    picture, network, wanted, cancel = question
    options = [controls[name] for name in ("baseline", "mode", "seed")]
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    heavy: dict[str, Any] = {"concurrency_limit": 2, "concurrency_id": "compute", **quiet}

    def fetch(model: str, shown: str, request: gr.Request) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Answers for: the network that is here now, the status line, the button Cancel, the picker."""
        try:
            steps = fetching.fetch(str(request.session_hash), page.offered(explorer, model))
        except ValueError as error:
            steps = iter([Step(f"**{error}**", failed=True)])
        for step in steps:
            picker = gr.skip()
            if step.failed and shown:
                picker = gr.update(value=shown)
            elif step.ready:  # what was marked as not here is here now
                picker = gr.update(choices=page.model_choices(explorer.entries()), value=model)
            yield model if step.ready else gr.skip(), step.sentence, gr.update(visible=step.running), picker
        # Gradio sends the last answer again at the end, when another network may have been picked already.
        yield gr.skip(), gr.skip(), gr.skip(), gr.skip()

    def give_up(request: gr.Request) -> None:
        fetching.cancel(str(request.session_hash))

    def new_picture(image: Any, model: str) -> tuple[Any, Any, Any]:
        if not model:
            return gr.skip(), gr.skip(), gr.skip()
        answer = page.explain(explorer, image, model)
        chosen = gr.update(choices=answer.choices, value=answer.value) if answer.payload else gr.skip()
        return answer.payload or gr.skip(), answer.status, chosen

    def new_class(image: Any, model: str, k: Any) -> tuple[Any, Any]:
        answer = page.explain(explorer, image, model, k)
        return answer.payload or gr.skip(), answer.status

    def compare(image: Any, model: str, k: Any, methods: list[str]) -> Iterator[tuple[Any, Any]]:
        for payload, message in page.compare(explorer, image, model, k, methods):
            yield payload or gr.skip(), message

    def compare_if_seen(image: Any, model: str, k: Any, methods: list[str], tab: str) -> Iterator[tuple[Any, Any]]:
        if tab != "compare":
            yield gr.skip(), gr.skip()  # a generator that yields nothing would empty its outputs
            return
        yield from compare(image, model, k, methods)

    def randomise(image: Any, model: str, k: Any, *options: Any) -> Iterator[tuple[Any, Any]]:
        for payload, message in page.cascade(explorer, image, model, k, *options):
            yield payload or gr.skip(), message

    fetching, fetched = Fetching(explorer), gr.State("")
    asked, compared = [picture, fetched, wanted], [data["compare"], status]
    opened = [data["explain"], status, wanted]
    waiting: dict[str, Any] = {"concurrency_limit": 32, "concurrency_id": "fetch", "trigger_mode": "multiple", **quiet}
    for picked in (demo.load, network.input):
        picked(fetch, [network, fetched], [fetched, status, cancel, network], **waiting)
    cancel.click(give_up, None, None, queue=False, **quiet)
    changes = [
        picture.change(new_picture, [picture, fetched], opened, trigger_mode="always_last", **heavy),
        fetched.change(new_picture, [picture, fetched], opened, trigger_mode="always_last", **heavy),
        wanted.input(new_class, asked, [data["explain"], status], trigger_mode="always_last", **heavy),
    ]
    running = [change.then(compare_if_seen, [*asked, controls["methods"], seen], compared, **heavy) for change in changes]
    running.append(controls["compare"].click(compare, [*asked, controls["methods"]], compared, **heavy))
    for name in TABS:
        chosen = controls[f"{name}_tab"].select(lambda name=name: name, None, seen, queue=False, **quiet)
        if name == "compare":
            running.append(chosen.then(compare_if_seen, [*asked, controls["methods"], seen], compared, **heavy))
    controls["stop_compare"].click(None, None, None, cancels=running, **quiet)
    cascading = controls["run"].click(randomise, [*asked, *options], [data["cascade"], status], **heavy)
    controls["stop"].click(None, None, None, cancels=[cascading], **quiet)


def launch(argv: Sequence[str] = (), *, models: Mapping[str, Zoo] | None = None, **options: Any) -> Any:
    """Build the page and serve it.

    Args:
        argv: as on the command line. models: networks of your own by name, each made with :func:`trgbp_core.own_model`.
        options: go to Gradio's ``launch``.

    Raises:
        trgbp_core.ModelError: a name or a network that cannot be put on the page.
    """
    parser = argparse.ArgumentParser(prog="app.py", description="TR-GBP Explorer: why an image classifier said so, in the browser.")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1; 0.0.0.0 for everybody on the network)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also serve the page through a public link of Gradio's")
    parser.add_argument("--model", default=DEFAULT_MODEL, help=f"the network that is chosen first (default {DEFAULT_MODEL})")
    arguments = parser.parse_args(argv)
    explorer = Explorer(ModelCache(NETWORK_BYTES, own=named(models)))
    if arguments.model not in [entry.name for entry in explorer.entries()]:
        parser.error(f"there is no network {arguments.model!r}; `python -m trgbp_core models` lists them")
    keep_freed_memory()
    demo = build(explorer, arguments.model)
    demo.queue(default_concurrency_limit=2, max_size=64)
    return demo.launch(
        server_name=arguments.host,
        server_port=arguments.port,
        share=arguments.share or None,
        theme=gr.themes.Default(primary_hue="blue", font=page.FONTS, font_mono=["ui-monospace", "monospace"]),
        css=page.asset("style.css"),
        head=page.head(),
        max_file_size="40mb",
        ssr_mode=False,
        footer_links=["api"],
        **options,
    )


if __name__ == "__main__":
    launch(sys.argv[1:])
