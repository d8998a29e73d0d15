"""The page's left side, picture and network; the field that finds any class; and how a network is downloaded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ...explorer.explorer import Explorer
from ...explorer.network_choice import Fetching, Message
from ...serving.server import Page
from .. import layout
from .context import QUIET, SETTLED_SECONDS

DOWNLOADS: dict[str, Any] = {"concurrency_limit": 32, "concurrency_id": "fetch", "trigger_mode": "multiple", **QUIET}
"""Events that may wait for a download."""


def class_picker() -> gr.Dropdown:
    """The field that finds any class."""
    return gr.Dropdown([], label="Class to explain", elem_id="tg-class", allow_custom_value=True, scale=0, min_width=210)


class Controls:
    """The controls of the left side; ``model`` holds the name of the network that is loaded, which may not be the one that is picked."""

    def __init__(self, explorer: Explorer, model: str, examples: Sequence[Path], first: str) -> None:
        self._explorer = explorer
        self._fetching = Fetching(explorer)
        self._offline = False
        opening = next((str(path) for path in examples if path.name == first), None)
        sources: list[Any] = ["upload", "clipboard", "webcam"]
        self.picture = gr.Image(opening, label="Picture", sources=sources, height=210, elem_id="tg-input", buttons=[], type="filepath")
        gr.HTML(js_on_load="TRGBP.mount('crop', element)", elem_id="tg-crop")
        self.network = gr.Dropdown(
            self.choices(),
            value=model,
            label="Network",
            info="The network that classifies the picture. Those marked ↓ are downloaded once.",
            elem_id="tg-model",
        )
        self.cancel = gr.Button("Cancel the download", visible=False, size="sm", elem_id="tg-cancel")
        gr.Examples([[str(path)] for path in examples], self.picture, label="Examples", examples_per_page=12)
        self.model = gr.State("")

    def wire(self, demo: Page, status: gr.Markdown) -> None:
        """Load a network when one is picked; remove the pictures of whoever leaves."""
        uploads = demo.uploads

        def leave(request: gr.Request) -> None:
            uploads.forget(str(request.session_hash))

        def give_up(request: gr.Request) -> None:
            self._fetching.cancel(str(request.session_hash))

        self.network.input(self._fetch, [self.network, self.model], [self.model, status, self.cancel, self.network], **DOWNLOADS)
        self.cancel.click(give_up, None, None, queue=False, **QUIET)
        demo.unload(leave)

    def _fetch(self, model: str, shown: str, request: gr.Request) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Updates of: the network that is loaded, the status line, the button Cancel, the picker."""
        button, last = gr.skip(), gr.skip()
        if model == shown:  # Gradio also reports a list that is left as it was; or nothing else is wanted any more
            self._fetching.cancel(str(request.session_hash))
        for step in self.steps(model, request) if model != shown else ():
            picker = gr.skip()
            if step.failed and shown:
                picker = last = gr.update(choices=self.choices(), value=shown)
            elif step.ready:  # it is no longer marked as one to download
                picker = gr.update(choices=self.choices(), value=model)
            button = gr.update(visible=False) if step.ready or step.failed else gr.skip()
            yield model if step.ready else gr.skip(), step.sentence, gr.update(visible=step.running), picker
        if button != gr.skip():
            # Of two answers at once the page may drop the first; and a list from which something has just been picked may be busy.
            time.sleep(SETTLED_SECONDS)
        # Gradio sends the last answer again at the end, when another network may have been picked already.
        yield gr.skip(), gr.skip(), button, last

    def choices(self) -> list[tuple[str, str]]:
        """The list of networks. Those to download are marked as soon as a download has failed because no server was reached."""
        return layout.model_choices(self._explorer.entries(), offline=self._offline)

    def steps(self, model: str, request: gr.Request) -> Iterator[Message]:
        """The progress of loading a network, and at last whether it is loaded."""
        try:
            entry = layout.offered(self._explorer, model)
            to_download = not entry.available
            for step in self._fetching.fetch(str(request.session_hash), entry):
                if to_download and (step.ready or step.failed):
                    self._offline = step.offline
                yield step
        except ValueError as error:
            yield Message(f"**{error}**", failed=True)
