"""Hostile and broken input against one running server: a sentence each time, nothing lost, nothing run, nothing given away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ..support.serving import served
from ..support.strangers import CALLS, FILES, LION, MODEL, NAMES, READINGS, ROOT, Stranger, encoded, file, flipped, inputs, noise

GOOD = ("layers", 49)
PAGE: dict[str, tuple[str, list[Any]]] = {
    "a class that is markup": ("typed_class", ["<img src=x onerror=alert(1)>", False]),
    "a class past the end": ("typed_class", ["1000", False]),
    "a network that is not offered": ("_fetch", []),
    "methods that are not offered": ("perturb", [["magic"]]),
    "no methods": ("perturb", [[]]),
    "a seed that is a word": ("randomise", ["grad_cam", "gaussian", "lucky"]),
    "a seed that is negative": ("randomise", ["grad_cam", "gaussian", -5]),
    "a mode that is not offered": ("randomise", ["grad_cam", "shuffle", 0]),
}
BODIES = [b"", b"{", b"[]", b"null", b'{"data": 7}', b'{"data": [' + b"[" * 5000 + b"]" * 5000 + b"]}", b"\xff\xfe", b'{"data": [NaN]}']


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server may put temporary files."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> Iterator[Stranger]:
    environment = {"GRADIO_TEMP_DIR": str(folder / "cache"), "TMPDIR": str(folder)}
    with served(folder / "log.txt", "-m", "tests.support.breaking_app", environment=environment, faults=True) as url:
        yield Stranger(url)
    assert not list(ROOT.glob("executed_by*")), "something of a stranger's was executed"
    log = (folder / "log.txt").read_text()
    assert log.count("Traceback") == log.count("\nRuntimeError: a fault of its own") + log.count("\nMemoryError"), log


@pytest.fixture(scope="module")
def lion(stranger: Stranger) -> dict[str, Any]:
    return stranger.upload(LION, "lion.jpg")


@pytest.fixture(scope="module")
def good(stranger: Stranger, lion: dict[str, Any]) -> Any:
    answer = stranger.call(GOOD[0], [lion, MODEL, "lion", GOOD[1]])
    assert answer.data, answer
    return answer.data[0]


@pytest.fixture(autouse=True)
def the_next_good_request_gives_the_same_answer(stranger: Stranger, lion: dict[str, Any], good: Any) -> Iterator[None]:
    yield
    assert stranger.call(GOOD[0], [lion, MODEL, "lion", GOOD[1]]).data[0] == good


def is_sentence(text: str, folder: Path) -> bool:
    text = text.strip("*")
    print(text[:200])
    tells = ("Traceback", 'File "', "site-packages", "0x", str(folder), str(ROOT))
    return bool(text) and (text[0].isupper() or not text[0].isalpha()) and text[-1] in ".…?" and not any(sign in text for sign in tells)


@pytest.mark.parametrize("name", FILES)
def test_a_bad_file_is_refused_with_a_sentence(name: str, stranger: Stranger, folder: Path) -> None:
    reply = stranger.call("explain", [stranger.upload(FILES[name][1], FILES[name][0]), MODEL, ""])
    assert is_sentence(reply.sentence, folder)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_a_file_with_flipped_bits_is_explained_or_refused_with_a_sentence(kind: str, stranger: Stranger, folder: Path) -> None:
    reply = stranger.call("explain", [stranger.upload(flipped(encoded(noise(100, 150), kind)), f"bits.{kind.lower()}"), MODEL, ""])
    assert reply.data or is_sentence(reply.sentence, folder)


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_question_is_refused_with_a_sentence(name: str, stranger: Stranger, lion: dict[str, Any], folder: Path) -> None:
    endpoint, asked = CALLS[name]
    assert is_sentence(stranger.call(endpoint, inputs(asked, lion)).sentence, folder)


@pytest.mark.parametrize("name", NAMES)
def test_a_files_name_leads_nowhere_and_a_good_picture_is_explained_under_it(name: str, stranger: Stranger, folder: Path) -> None:
    sent = stranger.upload(LION, name)
    assert (folder / "cache") in Path(sent["path"]).resolve().parents
    assert stranger.call("layers", [sent, MODEL, "lion", 49]).data


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_not_the_protocols_is_refused(body: bytes, stranger: Stranger, folder: Path) -> None:
    reply = stranger.call("explain", None, body)
    assert 400 <= reply.status < 500 or reply.sentence
    assert is_sentence(reply.sentence.rstrip(".") + ".", folder)  # FastAPI's own ends without a full stop


def test_an_unknown_endpoint_and_an_unknown_event_are_refused(stranger: Stranger, folder: Path) -> None:
    for reply in (stranger.call("nothing", []), stranger.call("typed_class", []), stranger.event(9999, []), stranger.event(-1, [])):
        assert 400 <= reply.status < 500
        assert is_sentence(reply.sentence, folder)


@pytest.mark.parametrize("route", ["cancel", "reset"])
def test_an_event_may_be_cancelled_before_its_number_is_known(route: str, stranger: Stranger) -> None:
    for number, expected in ((None, 200), (7, 422)):
        body = json.dumps({"event_id": number, "session_hash": "nobody", "fn_index": 3}).encode()
        status, _, _ = stranger.request("POST", f"/gradio_api/{route}", body, Content_Type="application/json")
        assert status == expected


@pytest.mark.parametrize("address", READINGS)
def test_no_file_of_the_servers_can_be_read(address: str, stranger: Stranger) -> None:
    status, body, _ = stranger.request("GET", address)
    assert 400 <= status < 500
    assert not any(secret in body for secret in (b"root:", b"import ", b"gradio>=", b"TRGBP.", b"[core]", b"PATH="))


@pytest.mark.parametrize(
    "query", ["x=</script><script>alert(1)</script>", "deep_link=..%2f..%2fetc", "__theme=%22onload=alert(1)", "view=<b>"]
)
def test_markup_in_the_address_does_not_reach_the_page(query: str, stranger: Stranger) -> None:
    status, body, _ = stranger.request("GET", "/?" + query.replace("<", "%3C").replace(">", "%3E"))
    assert status < 500
    assert not any(sign in body for sign in (b"alert(1)", b"<b>", b"root:"))


@pytest.mark.parametrize("name", ["picture.svg", "page.html", "script.js"])
def test_what_a_stranger_put_in_is_never_given_out_as_something_to_run(name: str, stranger: Stranger) -> None:
    sent = stranger.upload(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", name)
    status, _, headers = stranger.request("GET", f"/gradio_api/file={sent['path']}")
    assert status == 200
    assert headers["content-disposition"].startswith("attachment")
    assert headers["content-type"].startswith("application/octet-stream")


@pytest.mark.parametrize("name", PAGE)
def test_a_bad_event_of_the_page_is_refused_with_a_sentence(name: str, stranger: Stranger, lion: dict[str, Any], folder: Path) -> None:
    events = {d["api_name"]: d["id"] for d in json.loads(stranger.request("GET", "/config")[1])["dependencies"]}
    stranger.event(events["_fetch"], [MODEL, None])
    event, options = PAGE[name]
    asked = ["resnet9000", None] if event == "_fetch" else [lion, None, *(["lion"] if event != "typed_class" else []), *options]
    assert is_sentence(stranger.event(events[event], asked).sentence, folder)


PATHS = ["/etc/passwd", str(ROOT / "assets" / "examples" / "lion.jpg"), str(ROOT / "app.py")]


@pytest.mark.parametrize("path", PATHS)
def test_the_page_reads_no_file_that_was_not_uploaded_however_it_is_named(path: str, stranger: Stranger, folder: Path) -> None:
    events = {d["api_name"]: d["id"] for d in json.loads(stranger.request("GET", "/config")[1])["dependencies"]}
    stranger.event(events["_fetch"], [MODEL, None])
    file_of = file(path)
    for sent in (
        path,
        {"path": path},
        {"file": path},
        {"file": {"path": path}},
        {"file": file_of},
        file_of,
        {"file": file_of | {"meta": {}}},
        [path],
    ):
        assert is_sentence(stranger.event(events["typed_class"], [sent, None, "lion", False]).sentence, folder), sent
    for sent in (path, file_of, [path], [file_of], [{"path": path}], {"path": path}):
        assert is_sentence(stranger.event(events["looked"], [sent, None]).sentence, folder), sent
    stranger.event(events["_read"], [{"query": "?image=own", "own": path}, None])
    placed = stranger.event(events["_place"], [None]).data
    assert placed[0]["path"].endswith("cheetah_and_lion.jpg")
    assert placed[-1]["note"].startswith("Your picture is not kept here")


def test_a_request_that_is_too_large_is_refused_and_leaves_nothing(stranger: Stranger, folder: Path) -> None:
    def lying() -> set[Path]:
        return {path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 10_000_000}

    form = {"Content_Type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    status, body, _ = stranger.request("POST", "/gradio_api/upload", head + bytes(45_000_000) + b"\r\n--x--\r\n", **form)
    assert (status, json.loads(body)["detail"]) == (413, "This is too large: 41 MB are the limit.")
    reply = stranger.call("explain", [file("x" * 2_000_000), MODEL, ""])
    assert (reply.status, reply.sentence) == (413, "This is too large: 1 MB are the limit.")
    assert not lying()


def test_one_address_cannot_fill_the_queue(stranger: Stranger, lion: dict[str, Any]) -> None:
    def ask(endpoint: str, *data: object) -> tuple[int, bytes, dict[str, str]]:
        body = json.dumps({"data": [lion, *data]}).encode()
        return stranger.request("POST", f"/gradio_api/call/{endpoint}", body, Content_Type="application/json")

    slow = ask("cascade", MODEL, "", "saliency", "gaussian", 0, 6)[1]
    with ThreadPoolExecutor(30) as at_once:  # each another crop, so that each must be computed
        replies = list(at_once.map(lambda i: ask("explain", "shapes", "", f"{i / 250},0,0.5"), range(250)))
    assert {status for status, _, _ in replies} == {200, 429}
    assert any("64 requests from this address are waiting already" in str(text) for status, text, _ in replies if status == 429)
    for _, answer, _ in (reply for reply in replies if reply[0] == 200):
        stranger.request("GET", f"/gradio_api/call/explain/{json.loads(answer)['event_id']}")
    stranger.request("GET", f"/gradio_api/call/cascade/{json.loads(slow)['event_id']}")


def test_a_fault_inside_is_a_sentence_and_logged_and_everything_else_goes_on(
    stranger: Stranger, lion: dict[str, Any], folder: Path
) -> None:
    for network, word in (("breaks", "Something went wrong inside."), ("hungry", "There is not enough memory for this")):
        for _ in range(3):
            reply = stranger.call("explain", [lion, network, ""])
            assert reply.sentence.startswith(word)
            assert is_sentence(reply.sentence, folder)
        assert stranger.call("explain", [lion, MODEL, ""]).data
    assert (folder / "log.txt").read_text().count("RuntimeError: a fault of its own") == 3
