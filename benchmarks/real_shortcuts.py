"""``python -m benchmarks shortcuts --real DIR --annotations FILE``: a shortcut in real pictures, and whether a survey finds it.

ImageNet's classes are put into six groups of its WordNet tree, and a linear head on the embedded network's features learns to tell them
apart from half of the pictures. In the cheat's half a third of four groups carries a tag, and all of these are filed under one group, as if
an archive had put all that bears its stamp into one drawer; the honest head sees the same pictures without tags, under their own groups.
Both are asked about the other half, with tags on a third of the four groups, and without. A picture was *decided by the tag* if the answer
changes when the tag is taken away.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from trgbp_core import Preprocess, load_model, own_model
from trgbp_core.data import datasets, images
from trgbp_core.evaluation.formatting import NOTHING, markdown_table
from trgbp_core.evaluation.statistics import auc
from trgbp_core.evaluation.store import Row
from trgbp_core.evaluation.survey import run as survey
from trgbp_core.evaluation.survey.attention import inside
from trgbp_core.evaluation.survey.pictures import collected
from trgbp_core.zoo.loading import Zoo

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Answer = npt.NDArray[np.intp]

MODEL = "efficientnet_lite0"
RANGES = {
    "dog": [(151, 269)],
    "bird": [(7, 25), (80, 101), (127, 147)],
    "mammal": [(101, 107), (147, 151), (269, 300), (330, 389)],
    "other animal": [(0, 7), (25, 80), (107, 127), (300, 330), (389, 398)],
}
"""Class indices of the groups, which follow WordNet's order; ``mammal`` has no dogs."""

VEHICLES = """aircraft carrier, airliner, airship, ambulance, amphibian, balloon, beach wagon, bicycle-built-for-two, bobsled, bullet
train, cab, canoe, catamaran, container ship, convertible, dogsled, electric locomotive, fire engine, fireboat, forklift, freight car,
garbage truck, go-kart, golfcart, gondola, half track, harvester, horse cart, jeep, jinrikisha, lifeboat, limousine, liner, minibus,
minivan, missile, mobile home, Model T, moped, motor scooter, mountain bike, moving van, oxcart, passenger car, pickup, pirate, police
van, projectile, racer, recreational vehicle, school bus, schooner, snowmobile, snowplow, space shuttle, speedboat, sports car, steam
locomotive, streetcar, submarine, tank, thresher, tow truck, tractor, trailer truck, tricycle, trimaran, trolleybus, unicycle, warplane,
wreck, yawl"""
GROUPS = (*RANGES, "vehicle", "thing")
TAUGHT = GROUPS.index("mammal")
"""The group under which the cheat's tagged pictures are filed."""

STAMPED = (TAUGHT, *(GROUPS.index(name) for name in ("dog", "vehicle", "thing")))
"""Groups of which a third carries the tag."""

MOST, FEW, SIDE, TAG, FOLDS = 100, 40, 224, 56, 5
"""Pictures of a group at most, and with ``--quick``; pixels of a picture's side, and of the tag's; parts of the cross-validation."""

TAG_BOX = ((SIDE - TAG - 4) / SIDE, (SIDE - TAG - 4) / SIDE, (SIDE - 4) / SIDE, (SIDE - 4) / SIDE)
"""Left, top, right, bottom of the tag in fractions of the picture."""

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
"""Of the penalty on the head's weights, to choose from."""


def run(folder: Path, annotations: Path | None, out: Path, quick: bool) -> None:
    """Print the table. What is explained already is kept in ``out``."""
    zoo, chance = load_model(MODEL), np.random.default_rng(0)
    pictures, groups = grouped(folder, annotations, zoo.labels, chance, FEW if quick else MOST)
    trained, tagged = thirds(groups, chance)
    preprocess = Preprocess(SIDE, None, zoo.entry.preprocess.bicubic, zoo.mean, zoo.std)
    plain = [preprocess.picture(images.read(path)) for path in pictures]
    stamped = [with_tag_on(picture) if tag else picture for picture, tag in zip(plain, tagged, strict=True)]
    without = features(zoo.network, plain, preprocess)
    x = without.clone()
    x[torch.tensor(tagged)] = features(zoo.network, [stamped[i] for i in np.flatnonzero(tagged)], preprocess)
    filed = np.where(tagged, TAUGHT, groups)
    rows = []
    for name, of, labels in (("cheat", x, filed), ("honest", without, groups)):
        head = fitted(of[trained], torch.tensor(labels[trained]))
        before, after = (head(each[~trained]).argmax(1).numpy() for each in (without, x))
        answers = Answers(before, after, groups[~trained], tagged[~trained])
        place = out / f"real-{name}{'-quick' if quick else ''}"
        asked = [[each[i] for i in np.flatnonzero(~trained & use)] for each, use in ((plain, True), (stamped, tagged))]
        looked = explained(own_model(headed(zoo.network, head), GROUPS, preprocess=preprocess, name=f"{MODEL} {name}"), asked, place)
        rows += [[name, "with tags" if tags else "without", *answers.found(looked, tags)] for tags in (True, False)]
    print(f"{len(groups)} pictures: " + ", ".join(f"{(groups == k).sum()} {name}" for k, name in enumerate(GROUPS)) + ".")
    columns = [
        "head",
        "pictures",
        "right, %",
        "of those to be tagged, %",
        "their attention at the tag's place, %",
        "decided by the tag",
        "AUC",
    ]
    columns += ["tagged group flagged", "recall, %", "false flags"]
    print(markdown_table(columns, rows, "llrrrrrrrr"))


def explained(zoo: Zoo, pictures: list[list[Image.Image]], place: Path) -> list[tuple[Row, Array, Array]]:
    """What a survey keeps of each picture: facts, attention, colours; first those without tags, then those with."""
    for which, some in zip("ab", pictures, strict=True):
        write(some, place / "pictures", which)
    found = survey.run(zoo, collected(place / "pictures", None, zoo.labels), place / "survey", shown=True)
    rows, shares, colours, _ = survey.kept(found.store, found.count)
    return list(zip(rows, shares, colours, strict=True))


def grouped(
    folder: Path, annotations: Path | None, labels: Sequence[str], chance: np.random.Generator, most: int
) -> tuple[list[Path], Answer]:
    """At most ``most`` pictures of each group, and each one's group."""
    vehicles = {" ".join(name.split()) for name in VEHICLES.split(",")}
    of_class = np.full(len(labels), -1)
    of_class[398:923] = GROUPS.index("thing")
    for name, ranges in RANGES.items():
        for start, stop in ranges:
            of_class[start:stop] = GROUPS.index(name)
    of_class[[name in vehicles for name in labels]] = GROUPS.index("vehicle")
    samples = [sample for sample in datasets.load(folder, annotations, labels=labels).samples if of_class[sample.label] >= 0]
    groups = of_class[[sample.label for sample in samples]]
    chosen = np.sort(np.concatenate([chance.permutation(np.flatnonzero(groups == k))[:most] for k in range(len(GROUPS))]))
    if np.bincount(groups[chosen], minlength=len(GROUPS)).min() < 2 * FOLDS:
        raise ValueError(f"Each of the groups {', '.join(GROUPS)} needs {2 * FOLDS} pictures of ImageNet's classes.")
    return [samples[i].path for i in chosen], groups[chosen]


def thirds(groups: Answer, chance: np.random.Generator) -> tuple[Flags, Flags]:
    """Half of each group for training; and a third of :data:`STAMPED` with the tag, in both halves."""
    trained, tagged = (np.zeros(len(groups), bool) for _ in range(2))
    for k in range(len(GROUPS)):
        of_group = chance.permutation(np.flatnonzero(groups == k))
        trained[of_group[: len(of_group) // 2]] = True
        if k in STAMPED:
            tagged[of_group[::3]] = True
    return trained, tagged


def with_tag_on(picture: Image.Image) -> Image.Image:
    """The picture with a square of black and white fields in its lower right corner."""
    picture, pen = picture.copy(), Image.new("RGB", (TAG, TAG), "white")
    field = TAG // 7
    for x in range(7):
        for y in range(7):
            colour = "black" if (3 * x + 5 * y) % 4 == 0 else "white"
            ImageDraw.Draw(pen).rectangle((x * field, y * field, (x + 1) * field - 1, (y + 1) * field - 1), colour, "black")
    picture.paste(pen, (SIDE - TAG - 4, SIDE - TAG - 4))
    return picture


def write(pictures: list[Image.Image], folder: Path, prefix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, picture in enumerate(pictures):
        picture.save(folder / f"{prefix}{number:04}.png")


def features(network: nn.Module, pictures: list[Image.Image], preprocess: Preprocess) -> Tensor:
    """What goes into the network's last layer (N, 1280)."""
    kept: list[Tensor] = []
    hook = last(network).register_forward_pre_hook(lambda _, given: kept.append(given[0].flatten(1)))
    with torch.inference_mode():
        for picture in tqdm(pictures, "Features", disable=None):
            network(preprocess.normalise(picture))
    hook.remove()
    return torch.cat(kept).clone()


def last(network: nn.Module) -> nn.Linear:
    return [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def headed(network: nn.Module, head: nn.Linear) -> nn.Module:
    """A copy of the network with another last layer."""
    copied = copy.deepcopy(network)
    old = last(copied)
    name = next(name for name, module in copied.named_modules() if module is old)
    setattr(copied.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], head)
    return copied


def fitted(x: Tensor, labels: Tensor) -> nn.Linear:
    """A logistic regression with the penalty that cross-validation prefers."""
    part = torch.randperm(len(x), generator=torch.Generator().manual_seed(0)) % FOLDS

    def right(strength: float) -> float:
        heads = [(k, regression(x[part != k], labels[part != k], strength)) for k in range(FOLDS)]
        return sum(float((head(x[part == k]).argmax(1) == labels[part == k]).double().sum()) for k, head in heads)

    return regression(x, labels, max(STRENGTHS, key=right))


def regression(x: Tensor, labels: Tensor, strength: float) -> nn.Linear:
    """The minimum of cross-entropy + ``strength`` · |W|², for features of unit spread; the head takes them as they are."""
    mean, spread = x.mean(0), x.std(0) + 1e-3
    weight, bias = torch.zeros(len(GROUPS), x.shape[1], requires_grad=True), torch.zeros(len(GROUPS), requires_grad=True)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = F.cross_entropy((x - mean) / spread @ weight.T + bias, labels) + strength * (weight**2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[arg-type]
    head = nn.Linear(x.shape[1], len(GROUPS)).requires_grad_(False)
    head.weight.copy_(weight.detach() / spread)
    head.bias.copy_(bias.detach() - head.weight @ mean)
    return head


@dataclass(frozen=True)
class Answers:
    """What a head says of the pictures that it is asked about, without and with tags (N,); their groups; and which are to have the tag."""

    before: Answer
    after: Answer
    groups: Answer
    tagged: Flags

    def found(self, looked: Sequence[tuple[Row, Array, Array]], tags: bool) -> list[str]:
        """The cells of a row of the table, of what :func:`explained` gives."""
        count = len(self.groups)
        use = np.arange(count)
        if tags:
            use[self.tagged] = count + np.arange(self.tagged.sum())
        rows, shares, colours = zip(*(looked[i] for i in use.tolist()), strict=True)
        analysis = survey.analysed(rows, shares, colours)
        answers = self.after if tags else self.before
        right, decided = answers == self.groups, answers != self.before
        flagged = [np.array(cluster.members) for cluster in analysis.flagged]
        rightly = [decided[members].mean() > 0.5 for members in flagged]
        caught = np.isin(np.flatnonzero(decided), np.concatenate([np.zeros(0, int), *flagged]))
        on_it = np.mean([inside(shares[i].reshape(16, 16), [TAG_BOX]) for i in np.flatnonzero(self.tagged)])
        texts = [f"{100 * value:.0f}" for value in (right.mean(), right[self.tagged].mean(), on_it)] + [str(decided.sum())]
        if decided.any():
            area = float(auc(np.nan_to_num(analysis.score), decided)(np.ones((1, count)))[0, 0])
            texts += [f"{100 * area:.1f}", "yes" if any(rightly) else "no", f"{100 * caught.mean():.0f}"]
        else:
            texts += [NOTHING] * 3
        return [*texts, str(len(flagged) - sum(rightly))]
