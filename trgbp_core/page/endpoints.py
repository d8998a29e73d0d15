"""The named endpoints, ``/explain`` to ``/cascade``: data and pictures for ``gradio_client``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

from ..data.crop import CENTRE
from ..drawing.render import describe, heat, overlay, read_tile
from ..explorer import contrast, measure, predict, shares
from ..explorer.explorer import DEFAULT_MODEL, Explorer, Payload, Question, named_class
from ..methods import METHODS, NotApplicable
from ..serving.jobs import Cache, Step, Update, streamed
from ..serving.server import OPTIONAL
from ..serving.uploads import written
from ..trgbp.explainer import Explanation, Layer
from . import layout

Gallery = list[tuple[Image.Image, str]]
Answer = tuple[dict[str, Any], Gallery]
ANSWER_BYTES = 32_000_000
QUESTION = (
    "picture: the image file to explain.",
    "model: the network's name; efficientnet_lite0 is always there.",
    'wanted: the class to explain, by number or name, such as "lion"; empty for the network\'s own best class.',
)
"""What every endpoint's docstring says of its first arguments: assistants read it."""

CROP = (
    "crop: what the network sees of the picture: centre, what it takes by itself; whole, the whole picture squeezed into a "
    "square; or a square, x,y,size, such as 0.5,0,0.8: where it lies, from 0 (left, top) to 1, and its side as a share of the shorter side."
)
"""The same of one that may be left out."""


def add(explorer: Explorer) -> None:
    """Add the endpoints to the page that is being built."""
    with gr.Row(visible=False):
        picture = gr.File(label="picture", type="filepath")
        model = gr.Textbox(DEFAULT_MODEL, label="model")
        wanted = gr.Textbox("", label="class: number or name; nothing for the best")
        layer = gr.Number(0, label="layer: 0 is the picture", precision=0)
        methods = layout.list_input("string", ["tr_gbp", "guided_backprop"], label="methods: a list of keys")
        baseline = gr.Textbox("grad_cam", label="method beside TR-GBP")
        mode = gr.Textbox("gaussian", label="gaussian or reset")
        seed = gr.Number(0, label="seed", precision=0)
        stages = gr.Number(0, label="how many layers to randomise; 0 for all", precision=0)
        box = layout.list_input("number", [0.25, 0.25, 0.75, 0.75], label="box: left, top, right, bottom in fractions of the picture")
        draws = gr.Number(0, label="draws of random weights; 0 for the prediction alone", precision=0)
        crop = gr.Textbox(CENTRE, label="crop: centre, whole, or x,y,size", elem_classes=OPTIONAL)
        against = gr.Textbox("", label="rather than which class: number or name; nothing for none", elem_classes=OPTIONAL)
        what = "box: left, top, right, bottom in fractions of the picture; nothing for none"
        place = layout.list_input("number", None, label=what, elem_classes=OPTIONAL)
        data, gallery, trigger = gr.JSON(), gr.Gallery(format="png"), gr.Button()
    out: dict[str, Any] = {"outputs": [data, gallery], "concurrency_limit": None, "concurrency_id": "compute", "show_progress": "hidden"}
    out["preprocess"] = False  # what is wrong with an input is said below
    asked = [picture, model, wanted]
    answers = _Answers(explorer, Path(gallery.GRADIO_CACHE))
    trigger.click(answers.explain, [*asked, crop, against, place], api_name="explain", **out)
    trigger.click(answers.layers, [*asked, layer, crop], api_name="layers", **out)
    trigger.click(answers.compare, [*asked, methods, crop], api_name="compare", **out)
    trigger.click(answers.measure, [*asked, methods, box, crop], api_name="measure", **out)
    trigger.click(answers.predict, [*asked, draws, crop], api_name="predict", **out)
    trigger.click(answers.cascade, [*asked, baseline, mode, seed, stages, crop], api_name="cascade", **out)


def _streamed(answer: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Run an endpoint in a thread of its own, and yield something every second, for only then does Gradio notice that a client has left.

    The crop reaches the endpoint with the picture; it stands before the arguments that have defaults. Whatever is wrong becomes a
    ``gr.Error`` with its sentence.
    """
    known = inspect.signature(answer)
    given = [p for name, p in known.parameters.items() if name not in ("self", "step")]
    before = sum(p.default is p.empty for p in given)

    @functools.wraps(answer)
    def streaming(self: _Answers, *arguments: Any) -> Iterator[Any]:
        others = [*arguments[1:before], *arguments[before + 1 :]]
        asked = {"file": arguments[0], "crop": arguments[before]}
        try:
            for event in streamed(lambda step: iter([answer(self, step, asked, *others)])):
                if isinstance(event, Update):
                    yield gr.skip(), gr.skip()
                else:
                    data, gallery = event
                    yield data, [(written(picture, self.folder), title) for picture, title in gallery]
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from None

    streaming.__doc__ = str(inspect.getdoc(answer)).replace("{question}", "\n    ".join(QUESTION)) + f"\n    {CROP}"
    # Gradio counts the arguments that its inputs must fill.
    crop = inspect.Parameter("crop", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=CENTRE, annotation=str)
    streaming.__signature__ = known.replace(parameters=[known.parameters["self"], *given[:before], crop, *given[before:]])  # type: ignore[attr-defined]
    return streaming


class _Answers:
    """One method an endpoint. Their docstrings are read by assistants."""

    def __init__(self, explorer: Explorer, folder: Path) -> None:
        self._explorer, self.folder = explorer, folder
        self._explained: Cache[Answer] = Cache(ANSWER_BYTES, _answer_bytes)

    def _ask(self, picture: Any, model: str, wanted: str, step: Step) -> tuple[Question, int]:
        question = self._question(picture, model)
        return question, self._explorer.find_class(question, wanted, step)

    def _question(self, picture: Any, model: str) -> Question:
        return layout.ask(self._explorer, picture, str(model))

    @_streamed
    def explain(self, step: Step, picture: Any, model: str, wanted: str, against: str = "", box: list[float] | None = None) -> Answer:
        """Why an image classifier says what it says: the pixels that made it see a class in a picture.

        Gives the best classes with probabilities, the network's layers and, in words, where each map is strong: its peak, and its
        share in the quarters and in the frame of the picture. The map raw is all that is reconstructed, much of it shared by all classes;
        tr_gbp and tr_gbp_conserving hold what speaks for this class against the best classes. A strong frame means that the prediction is
        suspect, not the explanation. With against also why this class rather than that one: contrast and contrast_conserving, where red
        speaks for the class and blue for the other. With box also shares: what each layer gives to the sum of each map in the box.

        Args:
            {question}
            against: a second class, by number or name, such as "tiger"; empty for none.
            box: left, top, right and bottom, each from 0 to 1, in fractions of the picture as the network sees it; nothing for none.
        """
        question = self._question(picture, model)
        k, j = named_class(question, wanted), named_class(question, against)
        key, cancel = (question.key, k), lambda: step("", 0.0)
        data, gallery = self._explained.get(key, lambda job: self._explain(question, k, job.report), progress=step, cancel=cancel)
        data, gallery, k = dict(data), list(gallery), data["class"]["index"]
        if j is not None:
            more, pictures = self._contrast(question, k, j, step)
            data, gallery = {**data, **more, "maps": data["maps"] | more["maps"]}, [*gallery, *pictures]
        if box is not None:
            data["shares"] = shares.table(self._explorer.explanation(question, k, step, against=j), k, box, j)
        return data, gallery

    def _contrast(self, question: Question, k: int, j: int, step: Step) -> Answer:
        e = self._explorer.explanation(question, k, step, against=contrast.other_class(j, k))
        maps = contrast.maps(e, k, j)
        data = {"against": question.about(e, j), "maps": {name: contrast.describe(question, m, k, j) for name, m in maps.items()}}
        return data, [(overlay(question.picture, m, signed=True), name) for name, m in maps.items()]

    def _explain(self, question: Question, named: int | None, step: Step) -> Answer:
        def maps_of(e: Explanation) -> tuple[Explanation, dict[str, Tensor]]:
            k = e.classes[0]
            return e, {"raw": e.raw(k), "tr_gbp": e.attribution(k), "tr_gbp_conserving": e.attribution(k, "conserving")}

        e, maps = self._explorer.computed(question, named, maps_of, step)
        k, labels = e.classes[0], question.zoo.labels
        data = {
            "model": question.zoo.name,
            "class": {"index": k, "name": labels[k], "probability": float(e.probabilities[0, k])},
            "top5": [{"index": i, "name": labels[i], "probability": float(e.probabilities[0, i])} for i in e.top5],
            "layers": [_layer(layer) for layer in e.layers],
            "maps": {name: describe(m) for name, m in maps.items()},
        }
        return data, [(overlay(question.picture, m), name) for name, m in maps.items()]

    @_streamed
    def layers(self, step: Step, picture: Any, model: str, wanted: str, layer: float) -> Answer:
        """What one layer of the network contributes to the explanation of a class: its two maps as rows of numbers, and as pictures.

        Args:
            {question}
            layer: 0 is the picture itself, 1 the first layer; /explain lists them all.
        """
        index = layout.whole(layer, "layer")
        question, k = self._ask(picture, model, wanted, step)
        e = self._explorer.explanation(question, k, step)
        maps = {"raw": e.layer_raw(index, k), "attribution": e.layer_attribution(index, k)}
        name = "input" if index == 0 else e.layers[index - 1].name
        data: dict[str, Any] = {"layer": index, "name": name} | {key: m[0, 0].tolist() for key, m in maps.items()}
        return data, [(overlay(question.picture, m), key) for key, m in maps.items()]

    @_streamed
    def compare(self, step: Step, picture: Any, model: str, wanted: str, methods: list[str]) -> Answer:
        """Explanations of the same class by several methods, to see where they agree: a picture, seconds and words for each.

        With several networks, their names parted by commas, this for each of them by its name: prediction, its best classes in words;
        class, that of the same name, or null and a note where it has none; and methods.

        Args:
            {question}
            methods: a list of keys, such as ["tr_gbp", "guided_backprop", "grad_cam", "saliency"].
        """
        keys = layout.known_methods(methods)
        if "," in str(model):
            return self._compare_networks(layout.rows(self._explorer, picture, str(model), wanted, step), keys, step)
        question, k = self._ask(picture, model, wanted, step)
        panels = list(self._explorer.compare(question, k, keys, step))
        return _told(panels), _gallery(question, panels)

    def _compare_networks(self, rows: list[layout.Row], keys: list[str], step: Step) -> Answer:
        data, gallery = {}, []
        for row in rows:
            question, k = row.question, row.k
            panels = [] if k is None else list(self._explorer.compare(question, k, keys, step))
            chosen = None if k is None else question.about(self._explorer.explanation(question, k, step), k)
            data[question.zoo.name] = {"prediction": row.prediction, "class": chosen, "note": row.note, "methods": _told(panels)}
            gallery += [(picture, f"{question.zoo.title}: {title}") for picture, title in _gallery(question, panels)]
        return data, gallery

    @_streamed
    def measure(self, step: Step, picture: Any, model: str, wanted: str, methods: list[str], box: list[float]) -> Answer:
        """How much of each method's map lies inside a box on the picture.

        ebpg is the share inside the box, pointing_game 1 if the peak lies in it, ibd the share in the frame of the picture.

        Args:
            {question}
            methods: a list of keys, such as ["tr_gbp", "guided_backprop"].
            box: left, top, right and bottom, each from 0 to 1, in fractions of the picture as the network sees it.
        """
        keys = layout.known_methods(methods)
        question, k = self._ask(picture, model, wanted, step)
        data: dict[str, Any] = {}
        gallery = []
        for key in keys:
            try:
                map = self._explorer.attribution(question, k, key, step)
            except NotApplicable as error:
                data[key] = {"note": str(error)}
                continue
            data[key] = measure.scores(map, box)
            gallery.append((overlay(question.picture, map), METHODS[key].title))
        return data, gallery

    @_streamed
    def predict(self, step: Step, picture: Any, model: str, wanted: str, draws: float) -> Answer:
        """What theory predicts of a network's maps before anything is run, and what then happens when its weights are drawn at random.

        Gives each layer's predicted noise, profile from border to centre and the cosine to expect, and how much of a map should lie in
        the frame of the picture. With draws also what was measured: how strong this picture's frame is, how often real pictures with such
        a frame were misclassified, and how well the randomised layers follow their predictions.

        Args:
            {question}
            draws: how many networks with random weights to draw, from 2 to 50; 0 for the prediction alone, which is quick.
        """
        count = layout.whole(draws, "number of draws", 0)
        question, k = self._ask(picture, model, wanted, step)
        found = predict.prediction(self._explorer, question, k)
        layers = [(f"predicted: {layer['name']}", layer.pop("map")) for layer in found["layers"]]
        if count:
            *_, last = predict.measure(self._explorer, question, k, count, step)
            layers += [(f"measured: {c['name']}", m.pop("map")) for c, m in zip(found["layers"], last["random"]["layers"], strict=True)]
            found["measured"] = last
        return found, [(heat(read_tile(p["src"]), question.picture.size), name) for name, p in layers]

    @_streamed
    def cascade(
        self, step: Step, picture: Any, model: str, wanted: str, baseline: str, mode: str, seed: float, stages: float
    ) -> tuple[list[dict[str, Any]], Gallery]:
        """The sanity check: the network's weights are randomised layer by layer, from the output down. Which explanation notices?

        Gives the rank correlation and the structural similarity of each map with that of the trained network, after each layer; null
        where a map is empty and no longer explains the class. An explanation that does not change does not explain the network.

        Args:
            {question}
            baseline: a further method to follow, such as grad_cam.
            mode: gaussian, or reset to initialise anew.
            seed: of what is drawn.
            stages: how many layers to randomise; 0 for all, which takes long.
        """
        layout.known_methods([baseline])
        found, last, seed = [], layout.whole(stages, "number of layers", 0), layout.whole(seed, "seed")
        question, k = self._ask(picture, model, wanted, step)
        for stage in self._explorer.cascade(question, k, baseline, mode=mode, seed=seed, step=step):  # type: ignore[arg-type]
            found.append(stage)
            if last and stage["index"] >= last:
                break
        data = [{key: s[key] for key in ("index", "name", "top", "similarity")} for s in found]
        return data, _gallery(question, found[-1]["panels"])


def _layer(layer: Layer) -> dict[str, Any]:
    return {"index": layer.index, "name": layer.name, "kind": layer.kind, "N": layer.filters, "p": layer.taps, "size": list(layer.size)}


def _answer_bytes(answer: Answer) -> int:
    return 20_000 + sum(3 * picture.width * picture.height for picture, _ in answer[1])


def _told(panels: list[Payload]) -> dict[str, Any]:
    return {p["key"]: {"seconds": p["seconds"], "note": p["empty"], "map": p.get("alt", "")} for p in panels}


def _gallery(question: Question, panels: list[Payload]) -> Gallery:
    drawn = [p for p in panels if p.get("src")]
    return [(overlay(question.picture, read_tile(p["src"], signed=p["signed"]), signed=p["signed"]), p["title"]) for p in drawn]
