"""Anybody's network: each kind that people bring, explained without a word about its architecture, or refused with a clear sentence."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

from trgbp_core import TRGBP, ModelError, Preprocess, UnsupportedOperation, cascade, own_model
from trgbp_core.engine.validation import UnsuitableNetwork, unwrapped
from trgbp_core.zoo.catalogue import EMBEDDED
from trgbp_core.zoo.custom import named
from trgbp_core.zoo.loading import ModelCache, Zoo, load_model

from ..support.comparison import completeness_gap
from ..support.nets import Functional, picture, randomise
from ..support.pictures import photo

EXACT = 1e-9  # float64: what remains is summation order


def small(channels: int = 3, classes: int = 7, rectifier: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        rectifier(),
        nn.Dropout2d(0.5),
        nn.Conv2d(8, 12, 3, stride=2),
        rectifier(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(12, classes),
    )


def fine_tuned() -> nn.Module:
    network = resnet18()
    network.fc = nn.Linear(network.fc.in_features, 7)
    return network


def for_cifar() -> nn.Module:
    network = resnet18(num_classes=10)
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return network


# -- what is covered -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "shape"),
    [(Functional, (1, 3, 32, 32)), (fine_tuned, (1, 3, 64, 64)), (for_cifar, (1, 3, 32, 32)), (lambda: small(channels=1), (1, 1, 28, 28))],
    ids=["functional rectifiers", "fine-tuned ResNet of 7 classes", "ResNet for CIFAR's 32 pixels", "one channel"],
)
def test_a_network_of_ones_own_is_explained_completely(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    network, x = randomise(build()), picture(*shape)
    gap = completeness_gap(TRGBP(network, guided=False).explain(x), x)
    e = TRGBP(network).explain(x)
    found = e.attribution(e.top5[0])
    assert gap < EXACT
    assert found.shape == (1, 1, *shape[2:])
    assert bool(torch.isfinite(found).all())
    assert bool(found.any())
    assert e.let_through == ()


def test_fewer_than_five_classes_are_compared_with_as_many_as_there_are() -> None:
    e = TRGBP(randomise(small(classes=3))).explain(picture())
    assert len(e.top5) == 3
    total = sum(e.attribution(k) for k in range(3))
    assert float(total.abs().max()) < EXACT * float(e.attribution(0).abs().max()), "each class is compared with the mean of all"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_explained_nearly_as_single_precision_is(dtype: torch.dtype) -> None:
    network, x = randomise(small()).to(dtype), picture().to(dtype)
    half = TRGBP(network).explain(x)
    k = half.top5[0]
    full = TRGBP(network.float()).explain(x.float(), [k])
    similar = float(F.cosine_similarity(half.raw(k).float().flatten(), full.raw(k).flatten(), dim=0))
    assert half.raw(k).dtype == dtype
    assert similar > 0.99  # bfloat16 has 8 bits: relative errors of 0.4 % a number, about three roundings deep


def test_autocast_of_the_caller_does_not_change_the_precision_of_an_explanation() -> None:
    network, x = randomise(small()).float(), picture().float()
    expected = TRGBP(network).explain(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        e = TRGBP(network).explain(x)
        maps = [e.attribution(e.top5[0], psi) for psi in ("paper", "conserving")]
    assert torch.equal(maps[0], expected.attribution(e.top5[0]))
    assert torch.equal(maps[1], expected.attribution(e.top5[0], "conserving"))


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "torch.compile"])
def test_what_is_compiled_or_wrapped_as_a_whole_is_taken_out_of_its_wrapper(wrap: object) -> None:
    network, x = randomise(small()), picture()
    wrapped = wrap(network)  # type: ignore[operator]
    ours, theirs = TRGBP(wrapped).explain(x), TRGBP(network).explain(x)
    assert unwrapped(wrapped) is network
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers] == ["0", "4", "9"]
    assert torch.equal(ours.attribution(ours.top5[0]), theirs.attribution(theirs.top5[0]))
    assert [stage.name for stage in cascade(wrapped)] == ["9", "4", "0"]


# -- what the theory covers in part ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rectifier", [nn.LeakyReLU, nn.PReLU])
def test_leaky_rectifiers_are_refused_but_their_sums_are_exact_with_the_ordinary_gradient(rectifier: type[nn.Module]) -> None:
    """f(az) = a f(z) for a > 0, and no constant: the decomposition needs no more. Eq. 4, the guided rule, is about ReLU alone."""
    network, x = randomise(small(rectifier=rectifier)), picture()
    with pytest.raises(UnsupportedOperation, match=r"relu.*guided=False.*add up exactly"):
        TRGBP(network).explain(x)
    e = TRGBP(network, guided=False, strict=False).explain(x)
    assert completeness_gap(e, x) < EXACT
    assert len(e.let_through) == 2
    loose = TRGBP(network, strict=False).explain(x)
    assert torch.equal(loose.gradient(loose.top5[0]), e.gradient(loose.top5[0])), "let through with the ordinary gradient"


def test_a_smooth_activation_breaks_the_sums_and_its_refusal_promises_nothing() -> None:
    network, x = randomise(small(rectifier=nn.SiLU)), picture()
    with pytest.raises(UnsupportedOperation) as caught:
        TRGBP(network).explain(x)
    assert "exactly" not in str(caught.value)
    assert completeness_gap(TRGBP(network, guided=False, strict=False).explain(x), x) > 1e-3


# -- what is refused -------------------------------------------------------------------------------------------------------------------


def quantised(kind: str) -> nn.Module:
    network = small().eval()
    if kind == "dynamic":
        return torch.ao.quantization.quantize_dynamic(network, {nn.Linear})
    wrapped = nn.Sequential(torch.ao.quantization.QuantStub(), *network, torch.ao.quantization.DeQuantStub()).eval()
    wrapped.qconfig = torch.ao.quantization.default_qconfig
    prepared = torch.ao.quantization.prepare(wrapped)
    prepared(torch.randn(1, 3, 32, 32))
    return prepared if kind == "observed" else torch.ao.quantization.convert(prepared)


def compiled_inside() -> nn.Module:
    network = small()
    network[4].compile()
    return network


REFUSED = {
    "scripted": (lambda: torch.jit.script(small().eval()), "scripted"),
    "traced": (lambda: torch.jit.trace(small().eval(), torch.zeros(1, 3, 32, 32)), "scripted"),
    "scripted in part": (lambda: nn.Sequential(torch.jit.script(small().eval())), "scripted"),
    "quantised, dynamic": (lambda: quantised("dynamic"), "quantised"),
    "quantised, static": (lambda: quantised("static"), "quantised"),
    "observed for quantisation": (lambda: quantised("observed"), "quantised"),
    "exported": (lambda: torch.export.export(small().eval(), (torch.zeros(1, 3, 32, 32),)).module(), "exported"),
    "a function": (lambda: lambda x: x, "torch.nn.Module"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_network_in_a_form_that_hides_its_operations_is_refused(kind: str) -> None:
    build, word = REFUSED[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of its own quantisation and scripting
        network = build()
    with pytest.raises(UnsuitableNetwork, match=word):
        TRGBP(network).explain(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("network", "x", "words"),
    [
        (small().to("meta"), torch.zeros(1, 3, 32, 32), "same type and device"),
        (small().to("meta"), torch.zeros(1, 3, 32, 32, device="meta"), "holds no numbers"),
        (small(), torch.zeros(1, 1, 32, 32), r"cannot read an input of \(1, 1, 32, 32\)"),
        (small(), torch.zeros(1, 3, 1, 1), r"cannot read an input of \(1, 3, 1, 1\)"),
        (small(), "cat.jpg", "batch of pictures"),
    ],
)
def test_a_picture_that_does_not_fit_the_network_is_refused(network: nn.Module, x: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TRGBP(network).record(x)


# -- on the page -----------------------------------------------------------------------------------------------------------------------

GREY = Preprocess(size=28, resize=None, mean=(0.5,), std=(0.25,))


def digits() -> Zoo:
    return own_model(randomise(small(channels=1, classes=4)).float(), ["nought", "one", "two", "three"], preprocess=GREY)


def test_a_grey_network_sees_grey_of_0_to_1_normalised() -> None:
    image, zoo = photo(), digits()
    grey = torch.tensor(list(image.convert("L").resize((28, 28), 2).tobytes())).view(1, 1, 28, 28) / 255
    assert torch.allclose(zoo.preprocess(image), (grey - 0.5) / 0.25, atol=0.03)  # grey before or after resizing differs by roundings
    assert len(set(zoo.picture(image).getpixel((3, 3)))) == 1
    assert torch.equal(zoo.preprocess.black, torch.full((1, 1, 1, 1), -2.0))


def test_given_networks_come_first_stay_whatever_is_loaded_and_are_neither_copied_nor_changed() -> None:
    zoo = digits()
    cache = ModelCache(limit=1, own=named({"digits": zoo}))
    assert [entry.name for entry in cache.entries][:2] == ["digits", EMBEDDED]
    cache.get(EMBEDDED)
    assert cache.get("digits").network is zoo.network
    assert cache.names == (EMBEDDED,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: own_model(small(), ["a", "b"]), "7 classes"),
        (lambda: own_model(small(), "abcdefg"), "list of as many labels"),
        (lambda: own_model(small(rectifier=nn.SiLU), list("abcdefg")), "silu"),
        (lambda: own_model(small(channels=1), list("abcdefg")), "cannot read an input"),
        (lambda: own_model(small().double(), list("abcdefg")), r"float64.*give network.float\(\).cpu\(\)"),
        (lambda: own_model(small().to("meta"), list("abcdefg")), "on meta"),
        (lambda: own_model("resnet50", list("abcdefg")), "torch.nn.Module"),  # type: ignore[arg-type]
        (lambda: named({EMBEDDED: digits()}), "cannot be the name"),
        (lambda: named({" ": digits()}), "cannot be the name"),
        (lambda: named({"mine": small()}), "own_model"),  # type: ignore[dict-item]
    ],
)
def test_what_cannot_be_put_on_the_page_is_refused_before_it_opens(make: object, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        make()  # type: ignore[operator]


def test_preprocessing_has_as_many_means_as_deviations() -> None:
    with pytest.raises(ValueError, match="three numbers each"):
        Preprocess(mean=(0.5,))
    with pytest.raises(ValueError, match="above zero"):
        Preprocess(size=0)


def test_a_network_of_the_zoo_may_be_given_too() -> None:
    assert named({"alike": load_model("random:squeezenet1_1")})["alike"].title == "alike"
