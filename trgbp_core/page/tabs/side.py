"""The page's left side: picture, network and class, and how a network that is not on this machine is fetched."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ...data import images
from ...explorer.explorer import Explorer
from ...explorer.network_choice import Fetching, Message
from ...serving.server import Page
from .. import layout
from .room import QUIET, SETTLED_SECONDS

WAITING: dict[str, Any] = {"concurrency_limit": 32, "concurrency_id": "fetch", "trigger_mode": "multiple", **QUIET}


def read_upload(payload: Any) -> Any:
    """What a visitor put in, as an RGB picture; what cannot be read arrives as the error that says why."""
    if payload is None:
        return None
    try:
        return images.read(payload.path)
    except images.ImageError as error:
        return error


class Side:
    """Its controls; ``model`` holds the name of the network that has arrived, which may not be the one that is picked."""

    def __init__(self, explorer: Explorer, model: str, examples: Sequence[Path], first: str) -> None:
        self._explorer = explorer
        self._fetching = Fetching(explorer)
        opening = next((str(path) for path in examples if path.name == first), None)
        self.picture = gr.Image(
            opening, label="Picture", sources=["upload", "clipboard", "webcam"], height=210, elem_id="tg-input", buttons=[], type="filepath"
        )
        self.picture.preprocess = read_upload  # type: ignore[method-assign] # instead of Gradio's own reading, which knows fewer sentences
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
            info="What looks at the picture. Those marked ↓ are downloaded once.",
            elem_id="tg-model",
        )
        self.cancel = gr.Button("Cancel the download", visible=False, size="sm", elem_id="tg-cancel")
        gr.Examples([[str(path)] for path in examples], self.picture, label="Examples", examples_per_page=8)
        self.model = gr.State("")

    def wire(self, demo: Page, status: gr.Markdown) -> None:
        """Fetch a network when one is picked; forget the pictures of whoever leaves."""
        self._uploads = demo.uploads
        self.network.input(self._fetch, [self.network, self.model], [self.model, status, self.cancel, self.network], **WAITING)
        self.cancel.click(self._give_up, None, None, queue=False, **QUIET)
        demo.unload(self._leave)

    def _leave(self, request: gr.Request) -> None:
        self._uploads.forget(str(request.session_hash))

    def _fetch(self, model: str, shown: str, request: gr.Request) -> Iterator[tuple[Any, Any, Any, Any]]:
        """Answers for: the network that is here now, the status line, the button Cancel, the picker."""
        explorer, button, last = self._explorer, gr.skip(), gr.skip()
        for step in self.steps(model, request):
            picker = gr.skip()
            if step.failed and shown:
                picker = last = gr.update(value=shown)
            elif step.ready:  # what was marked as not here is here now
                picker = gr.update(choices=layout.model_choices(explorer.entries()), value=model)
            button = gr.update(visible=False) if step.ready or step.failed else gr.skip()
            yield model if step.ready else gr.skip(), step.sentence, gr.update(visible=step.running), picker
        if button != gr.skip():
            # Of two answers that come at once the page may drop the first; and a list from which something has just been picked may
            # still be busy with that.
            time.sleep(SETTLED_SECONDS)
        # Gradio sends the last answer again at the end, when another network may have been picked already.
        yield gr.skip(), gr.skip(), button, last

    def steps(self, model: str, request: gr.Request) -> Iterator[Message]:
        """What a visitor is told until the network has arrived, or will not."""
        try:
            yield from self._fetching.fetch(str(request.session_hash), layout.offered(self._explorer, model))
        except ValueError as error:
            yield Message(f"**{error}**", failed=True)

    def _give_up(self, request: gr.Request) -> None:
        self._fetching.cancel(str(request.session_hash))
