"""The camera: a moving picture explained frame by frame, when nobody else asks. Nothing of a frame is kept."""

from __future__ import annotations

import base64
import binascii
import io
import threading
import time
from typing import Any

from PIL import Image

from ..data import images
from ..data.crop import WHOLE
from ..methods import METHODS, NotApplicable
from ..methods.activation import Activation, record_both
from ..serving.jobs import Step
from ..serving.queue import Busy
from ..trgbp.recorded import RecordedPicture
from .explorer import Explorer, Payload, Question
from .layer_pictures import panel

MOST_CHARACTERS, MOST_SIDE = 400_000, 1024
"""Of a frame as it is sent, and of its sides: far more than any network here sees."""

QUICK = 10
"""Methods of at most this cost, in forward passes, are offered beside TR-GBP."""

WAIT_SECONDS = 1.0
"""A frame that has waited so long for others is given up: the browser has a newer one."""

AT_ONCE = 16
"""So many frames, of all visitors, are on the server at a time; a further one is given up at once."""

PSI = {"smooth": "tr_gbp", "sharp": "tr_gbp_conserving"}
WAITS = "Others are asking this server: the camera waits for them."


def quick_methods() -> list[str]:
    """The keys of the methods that may stand beside TR-GBP."""
    return [key for key, method in METHODS.items() if method.cost <= QUICK and key not in PSI.values()]


def read_frame(sent: object) -> Image.Image:
    """The picture of a ``data:`` URI with a JPEG.

    Raises:
        ValueError: it is none, or too large.
    """
    head, _, text = sent.partition(",") if isinstance(sent, str) else ("", "", "")
    if head != "data:image/jpeg;base64" or len(text) > MOST_CHARACTERS:
        raise ValueError("A frame is a small JPEG, as this page's camera sends it.")
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as found:  # reads its header alone
            size = found.size
    except (binascii.Error, OSError, ValueError, Image.DecompressionBombError):
        raise ValueError("This frame cannot be read.") from None
    if max(size) > MOST_SIDE:
        raise ValueError(f"A frame has at most {MOST_SIDE} pixels a side.")
    return images.read(data)


class Camera:
    """Explains frames for all visitors; each waits for everybody who asks about a picture."""

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer
        self._places = threading.BoundedSemaphore(AT_ONCE)

    def explain(self, frame: Image.Image, model: str, psi: str, beside: str, wanted: int | None = None) -> Payload:
        """What the network sees in ``frame``: TR-GBP's map of class ``wanted`` (default: the best), and another method's.

        Args:
            psi: a key of :data:`PSI`. beside: one of :func:`quick_methods`.

        Returns:
            ``answers``, the five best classes; ``class``; ``panels``, two; ``side``, of the square that the network sees; or ``waits``, a
            sentence, where others came first.
        """
        if psi not in tuple(PSI) or beside not in quick_methods():
            raise ValueError("The camera shows TR-GBP, smooth or sharp, and one quick method beside it.")
        if not self._places.acquire(blocking=False):
            return {"waits": WAITS}
        try:
            question, begun = self._explorer.ask(frame, model, WHOLE), time.monotonic()

            def step(what: str, share: float) -> None:
                if time.monotonic() - begun > WAIT_SECONDS and what.startswith("waiting"):
                    raise Busy(WAITS)

            return self._explorer.queue.run(lambda between: _explained(question, wanted, psi, beside, between), step, last=True)
        except Busy:
            return {"waits": WAITS}
        finally:
            self._places.release()


def _explained(question: Question, wanted: int | None, psi: str, beside: str, between: Step) -> Payload:
    recording, activation = record_both(question.zoo.network, question.x)
    e = RecordedPicture(recording).explain(wanted)
    k = e.classes[0]
    about, label = question.about(e, k), question.zoo.labels[k]
    only = e.logits.shape[1] == 1  # of a network's only class nothing is left by Eq. 10
    own = e.raw(k) * 0 if only else e.attribution(k, "paper" if psi == "smooth" else "conserving")
    between("", 0.5)
    panels = [panel(own, f"TR-GBP, {psi}", "", label, specific=True), _other(question, k, beside, label, activation)]
    answers = [question.about(e, i) for i in e.top5]
    return {"answers": answers, "class": about, "panels": panels, "side": question.x.shape[-1], "model": question.zoo.title}


def _other(question: Question, k: int, key: str, label: str, activation: Activation | None) -> Payload:
    """The other method's panel; from the forward pass of TR-GBP, where it needs only its last activation."""
    method = METHODS[key]
    try:
        if activation is not None and method.of_activation is not None:
            map = method.of_activation(activation, question.x, k)
        else:
            map = method.attribute(question.zoo.network, question.x, k)
    except NotApplicable as error:
        return {"title": method.title, "caption": "", "src": "", "alt": str(error), "empty": str(error)}
    return panel(map, method.title, "", label, signed=method.signed)


def sent_class(given: Any) -> int | None:
    """The class that the browser names, None for the best; raises ValueError for anything else."""
    if given is None or (isinstance(given, int) and not isinstance(given, bool) and given >= 0):
        return given
    raise ValueError("A class is named by its number.")
