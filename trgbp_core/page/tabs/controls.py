"""The page's left side: picture, network and class, and how a network that is not on this machine is downloaded."""

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


class Controls:
    """The controls of the left side; ``model`` holds the name of the network that is loaded, which may not be the one that is picked."""

    def __init__(self, explorer: Explorer, model: str, examples: Sequence[Path], first: str) -> None:
        self._explorer = explorer
        self._fetching = Fetching(explorer)
        opening = next((str(path) for path in examples if path.name == first), None)
        sources: list[Any] = ["upload", "clipboard", "webcam"]
        self.picture = gr.Image(opening, label="Picture", sources=sources, height=210, elem_id="tg-input", buttons=[], type="filepath")
        gr.HTML(js_on_load="TRGBP.mount('crop', element)", elem_id="tg-crop")
        self.wanted = gr.Dropdown(
            [],
            label="Class to explain",
            info="Type to search all classes. The network's five best come first.",
            elem_id="tg-class",
            allow_custom_value=True,
        )
        self.network = gr.Dropdown(
            layout.model_choices(explorer.entries()),
            value=model,
            label="Network",
            info="The network that classifies the picture. Those marked ↓ are downloaded once.",
            elem_id="tg-model",
        )
        self.cancel = gr.Button("Cancel the download", visible=False, size="sm", elem_id="tg-cancel")
        gr.Examples([[str(path)] for path in examples], self.picture, label="Examples", examples_per_page=8)
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
        for step in self.steps(model, request):
            picker = gr.skip()
            if step.failed and shown:
                picker = last = gr.update(value=shown)
            elif step.ready:  # it is no longer marked as one to download
                picker = gr.update(choices=layout.model_choices(self._explorer.entries()), value=model)
            button = gr.update(visible=False) if step.ready or step.failed else gr.skip()
            yield model if step.ready else gr.skip(), step.sentence, gr.update(visible=step.running), picker
        if button != gr.skip():
            # Of two answers at once the page may drop the first; and a list from which something has just been picked may be busy.
            time.sleep(SETTLED_SECONDS)
        # Gradio sends the last answer again at the end, when another network may have been picked already.
        yield gr.skip(), gr.skip(), button, last

    def steps(self, model: str, request: gr.Request) -> Iterator[Message]:
        """The progress of loading a network, and at last whether it is loaded."""
        try:
            yield from self._fetching.fetch(str(request.session_hash), layout.offered(self._explorer, model))
        except ValueError as error:
            yield Message(f"**{error}**", failed=True)
