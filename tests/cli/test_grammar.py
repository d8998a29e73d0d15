"""One grammar for every command: lists, pictures, networks, outputs; and the table of it in the documents."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from trgbp_core.cli.grammar import Listed
from trgbp_core.cli.inputs import images
from trgbp_core.cli.main import COMMANDS, _parser, main
from trgbp_core.data.labels import find_classes
from trgbp_core.evaluation.settings import DEFAULT, chosen_methods
from trgbp_core.methods import METHODS

from ..support.documents import DOCUMENTS
from ..support.own import LABELS

PARSERS: dict[str, argparse.ArgumentParser] = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
HEAD = ("command", "pictures", "lists", "networks", "--network", "--weights", "--device", "--out")
TAKE_NETWORKS = [name for name in COMMANDS if name not in ("models", "handouts")]


def row(name: str) -> str:
    """One command's line of the table, as its parser has it."""
    actions = {action.dest: action for action in PARSERS[name]._actions}
    lists = [a.option_strings[0] for a in actions.values() if isinstance(a, Listed) and a.dest not in ("named_images", "models", "network")]
    networks = [actions[dest].option_strings[0] for dest in ("model", "models") if dest in actions]
    several = name == "page" or "models" in actions
    cells = [
        f"`{name}`",
        str(actions["images"].metavar) if "images" in actions else "",
        ", ".join(f"`{flag}`" for flag in lists),
        "".join(f"`{flag}`" for flag in networks),
        ("several" if several else "one") if "network" in actions else "",
        *("yes" if dest in actions else "" for dest in ("weights", "device")),
        str(actions["out"].metavar) if "out" in actions else "",
    ]
    return f"| {' | '.join(cells)} |"


def test_the_table_of_commands_is_what_the_parsers_take() -> None:
    text = DOCUMENTS["docs/commands.md"]
    expected = [row(name) for name in COMMANDS]
    start = text.index("| command | pictures |")
    shown = text[start:].split("\n\n")[0].splitlines()
    assert shown[2:] == expected, "\n".join(expected)
    assert [cell.strip(" `") for cell in shown[0].strip("|").split("|")] == list(HEAD)


@pytest.mark.parametrize("name", TAKE_NETWORKS)
def test_every_command_that_takes_a_network_takes_weights_a_network_of_ones_own_and_a_device(name: str) -> None:
    options = {option for action in PARSERS[name]._actions for option in action.option_strings}
    assert {"--model", "--weights", "--network", "--device", "--threads"} - ({"--threads"} if name == "page" else set()) <= options


@pytest.mark.parametrize("written", [["a", "b", "c"], ["a,b,c"], ["a, b", "c"], ["a,", "b", ",c"], ["a", "--methods", "b,c"]])
@pytest.mark.parametrize("command", ["compare", "evaluate", "predictability", "figure", "cascade", "bench"])
def test_a_list_takes_spaces_and_commas_and_may_be_repeated(command: str, written: list[str]) -> None:
    assert PARSERS[command].parse_args(["--methods", *written]).methods == ["a", "b", "c"]


@pytest.mark.parametrize("command", ["predict", "figure", "bench"])
def test_so_does_a_list_of_networks_by_either_name(command: str) -> None:
    for flag in ("--models", "--model"):
        for written in (["x", "random:y"], ["x,random:y"]):
            assert PARSERS[command].parse_args([flag, *written]).models == ["x", "random:y"]


def test_numbers_of_layers_too() -> None:
    for command, flag in (("explain", "--layers"), ("explain", "--layer"), ("predict", "--layers"), ("figure", "--layers")):
        assert PARSERS[command].parse_args([flag, "3,4", "9"]).layers == [3, 4, 9]
    assert PARSERS["predict"].parse_args(["--layers"]).layers == []
    with pytest.raises(ValueError, match="--layer: whole numbers belong here, not two"):
        PARSERS["explain"].parse_args(["--layers", "two"])


def test_pictures_stand_before_or_behind_the_options_or_after_images(tmp_path: Path) -> None:
    with_comma = tmp_path / "one, two.jpg"
    with_comma.touch()
    for written in (["x.jpg", "--seeds", "3"], ["--seeds", "3", "x.jpg"], ["--images", "x.jpg"], ["--class", "3", "x.jpg"]):
        assert images(PARSERS["predict"].parse_args(written)) == [Path("x.jpg")]
    figure = PARSERS["figure"].parse_args(["--dpi", "50", "3", "x.jpg", "--images", "y.jpg,z.jpg", str(with_comma)])
    assert (figure.number, images(figure)) == (3, [Path("x.jpg"), Path("y.jpg"), Path("z.jpg"), with_comma])


def test_a_class_may_hold_spaces_and_commas() -> None:
    assert find_classes(["tiger cat", "a,b"], LABELS) == [2, 0, 1]
    assert find_classes(["crane, bird", "e, f", "e"], LABELS) == [3, 4, 5]
    for written in (["a", "tiger cat"], ["a", "--class", "tiger cat"]):
        assert PARSERS["figure"].parse_args(["3", "--class", *written]).classes == ["a", "tiger cat"]
    with pytest.raises(ValueError, match="No class is called 'unicorn'"):
        find_classes(["a,unicorn"], LABELS)


def test_methods_may_be_named_once_each_and_groups_stand_for_several() -> None:
    assert chosen_methods(["paper", "cam", "tr_gbp"]) == (*DEFAULT, "cam")
    assert chosen_methods(None) == DEFAULT
    assert set(chosen_methods(None, "all")) == set(METHODS)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["explain"], "Which picture? Name it before the options, or after --images."),
        (["compare", "--methods", "cam", "x.jpg"], "Which picture? Name it before the options"),
        (["explain", "x.jpg", "y.jpg"], "takes one picture, not 2: x.jpg, y.jpg"),
        (["evaluate"], "Which folder of pictures?"),
        (["figure", "--class", "lion", "3"], "Which figure? Put its number before the options"),
        (["compare", "x.jpg", "--methods", ""], "Name at least one method"),
        (["compare", "x.jpg", "--methods", "gradcam"], "did you mean 'grad_cam'?"),
        (["cascade", "x.jpg", "--methods", "cam,saliency"], "takes one method beside TR-GBP, not 2"),
        (["explain", "x.jpg", "--depth", "3"], "Unrecognized arguments: --depth"),
        (["cascade", "x.jpg", "--seed", "3"], "Unrecognized arguments: --seed"),  # there is --seeds
        (["cascade", "x.jpg", "--seeds", "0"], "--seeds is at least 1, not 0"),
        (["page", "--port", "99999"], "a port is a number from 0 to 65535, not 99999"),
        (["explode"], "invalid choice: 'explode'"),
        (["explain", "README.md", "--out", "README.md/maps"], "--out README.md/maps: "),
        (["patterns", "assets", "--out", "assets"], "--out assets is a folder; here it names a file"),
        (["evaluate", "assets", "--annotations", "none.csv"], "There is no annotation file none.csv"),
        (["patterns", "nowhere", "--out", "x"], "There is no folder of pictures nowhere"),
        (["bench", "--scale", "--models", "random:resnet18"], "--scale measures networks of its own"),
        (["predict", "LION", "--models", "random:resnet18", "nope"], "no network 'nope'"),
        (
            ["predict", "LION", "--models", "random:resnet18,efficientnet_lite0", "--weights", "x"],
            "takes one network with --weights, not 2",
        ),
    ],
)
def test_what_is_wrong_is_one_line_before_anything_is_computed(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    given = ["assets/examples/lion.jpg" if word == "LION" else word for word in arguments]
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("trgbp: ")
    assert sentence in err


def test_without_a_command_the_page_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(COMMANDS["page"][0], "run", started.append)
    assert main([]) == main(["--port", "8001"]) == main(["page", "--port", "8002"]) == 0
    assert [arguments.port for arguments in started] == [None, 8001, 8002]


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    import trgbp_core

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.split()[-1] == trgbp_core.__version__
