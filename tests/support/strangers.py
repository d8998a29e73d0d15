"""What a stranger may send, good and bad, over plain HTTP: a client without manners, and the table of bad inputs."""

from __future__ import annotations

import http.client
import io
import json
import pickle
import urllib.parse
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.test_image_refusals import BOMBS, STRANGE
from .pictures import encoded, noise

ROOT = Path(__file__).parents[2]
LION = (ROOT / "assets" / "examples" / "lion.jpg").read_bytes()
MODEL = "efficientnet_lite0"


@dataclass(frozen=True)
class Reply:
    """``sentence`` is what the server said was wrong; empty where it answered."""

    status: int
    body: bytes
    sentence: str = ""
    data: Any = None


class Stranger:
    """Speaks Gradio's protocol without Gradio's client, so that anything can be sent."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self.session = uuid.uuid4().hex

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=120)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            given = {"Content-Length": str(len(body or b"")), **{name.replace("_", "-"): value for name, value in headers.items()}}
            for name, value in given.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.read(), {k.lower(): v for k, v in response.getheaders()}
        finally:
            connection.close()

    def upload(self, content: bytes, name: str = "picture.png") -> dict[str, Any]:
        """The file as endpoints take it."""
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
        body = head.encode() + content + f"\r\n--{edge}--\r\n".encode()
        status, answer, _ = self.request("POST", "/gradio_api/upload", body, Content_Type=f"multipart/form-data; boundary={edge}")
        assert status == 200, answer
        return file(json.loads(answer)[0])

    def call(self, name: str, data: Any, raw: bytes | None = None) -> Reply:
        """One of the named endpoints."""
        body = raw if raw is not None else json.dumps({"data": data}).encode()
        status, answer, _ = self.request("POST", f"/gradio_api/call/{name}", body, Content_Type="application/json")
        if status != 200:
            return Reply(status, answer, detail(answer))
        status, answer, _ = self.request("GET", f"/gradio_api/call/{name}/{json.loads(answer)['event_id']}")
        event, _, value = answer.decode().strip().rpartition("\n\n")[2].partition("\ndata: ")
        found = json.loads(value)
        if event == "event: complete":
            return Reply(status, answer, data=found)
        return Reply(status, answer, str((found or {}).get("error") or ""))

    def event(self, number: int, data: list[Any]) -> Reply:
        """One of the page's own events, in this stranger's session."""
        asked = {"data": data, "fn_index": number, "session_hash": self.session}
        status, answer, _ = self.request("POST", "/gradio_api/queue/join", json.dumps(asked).encode(), Content_Type="application/json")
        if status != 200:
            return Reply(status, answer, detail(answer))
        status, answer, _ = self.request("GET", f"/gradio_api/queue/data?session_hash={self.session}")
        last = [json.loads(line[6:]) for line in answer.decode().splitlines() if "process_completed" in line][-1]
        if not last["success"]:
            return Reply(status, answer, str(last["output"].get("error") or ""))
        said = [value for value in last["output"]["data"] if isinstance(value, str) and value.startswith("**")]
        return Reply(status, answer, said[0] if said else "", last["output"]["data"])


def file(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def detail(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.decode(errors="replace")


def flipped(data: bytes) -> bytes:
    """Every 97th byte behind the header with one bit changed."""
    changed = bytearray(data)
    for i in range(len(data) // 3, len(data), 97):
        changed[i] ^= 16
    return bytes(changed)


FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SCRIPT = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>"


def _pickle() -> bytes:
    class Executes:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (Path("executed_by_a_pickle"),)

    return pickle.dumps(Executes())


def _array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.full((8, 8, 3), np.nan))
    return buffer.getvalue()


FILES: dict[str, tuple[str, bytes]] = {
    **{f"bomb: {name}": ("bomb.png", data) for name, data in BOMBS.items()},
    **{f"no picture: {name}": ("strange.png", data) for name, data in STRANGE.items()},
    **{f"truncated {f}": (f"half.{f.lower()}", (data := encoded(noise(100, 150), f))[: len(data) // 2]) for f in FORMATS},
    "nothing": ("empty.png", b""),
    "svg with a script, called png": ("picture.png", SCRIPT),
    "svg with a script": ("picture.svg", SCRIPT),
    "html with a script": ("page.html", b"<!doctype html><script>alert(1)</script>"),
    "a pickle": ("weights.pth", _pickle()),
    "an array of NaN": ("array.npy", _array()),
    "a python file": ("app.py", b"import os; os.mkdir('executed_by_a_source')"),
    "a sliver, wide": ("wide.png", encoded(Image.new("RGB", (20_000, 1)), "PNG")),
    "a sliver, tall": ("tall.png", encoded(Image.new("RGB", (1, 20_000)), "PNG")),
    "a TIFF of NaN": ("nan.tiff", encoded(Image.fromarray(np.full((8, 8), np.nan, np.float32)), "TIFF")),
}
"""Files that are refused as pictures: (name, content)."""

NAMES = ["../../../../etc/passwd", "..\\..\\boot.ini", "/etc/cron.d/x.png", "a\0b.png", "x" * 300 + ".png", ".env", "CON.png", "a/b/c.png"]
NAMES += ["<img src=x onerror=alert(1)>.png", "$(touch executed_by_a_shell).png", "`id`.png", "%2e%2e%2fetc%2fpasswd", "\u202egnp.exe"]

PICTURE = "the picture that was put in"
CALLS: dict[str, tuple[str, list[Any]]] = {
    "no picture": ("explain", [None, MODEL, ""]),
    "a crop past the edge": ("explain", [PICTURE, MODEL, "", "0,0,1.5"]),
    "a word for a crop": ("layers", [PICTURE, MODEL, "", 49, "left"]),
    "an object for a crop": ("compare", [PICTURE, MODEL, "", ["saliency"], {"x": 1}]),
    "the server's password file": ("explain", [file("/etc/passwd"), MODEL, ""]),
    "the server's source": ("explain", [file(str(ROOT / "app.py")), MODEL, ""]),
    "a picture of the server's, not uploaded": ("explain", [file(str(ROOT / "assets" / "examples" / "lion.jpg")), MODEL, ""]),
    "a path above the upload folder": ("explain", [lambda p: file(p["path"] + "/../../../../etc/passwd"), MODEL, ""]),
    "a stream of the server's": ("explain", [file("/etc/passwd") | {"is_stream": True}, MODEL, ""]),
    "a page of the server's own": ("explain", [file("http://127.0.0.1:9/config"), MODEL, ""]),
    "a file address": ("explain", [file("file:///etc/passwd"), MODEL, ""]),
    "a path without its kind": ("explain", [lambda p: p["path"], MODEL, ""]),
    "a number for a picture": ("explain", [7, MODEL, ""]),
    "two pictures for one": ("explain", [lambda p: [p, p], MODEL, ""]),
    "NaN for everything": ("explain", [float("nan")] * 3),
    "too few inputs": ("explain", [PICTURE]),
    "no inputs": ("explain", []),
    "an unknown network": ("explain", [PICTURE, "resnet9000", ""]),
    "a network outside the theory": ("explain", [PICTURE, "vit_b_16", ""]),
    "a network for tests": ("explain", [PICTURE, "random:vgg16", ""]),
    "a path for a network": ("explain", [PICTURE, "../../etc/passwd", ""]),
    "markup for a network": ("explain", [PICTURE, "<script>alert(1)</script>", ""]),
    "a list for a network": ("explain", [PICTURE, ["vgg16"], ""]),
    "nothing for a network": ("explain", [PICTURE, None, ""]),
    "a class past the end": ("explain", [PICTURE, MODEL, "1000"]),
    "a negative class": ("explain", [PICTURE, MODEL, "-1"]),
    "a class of 5,000 digits": ("explain", [PICTURE, MODEL, "9" * 5000]),
    "an infinite class": ("explain", [PICTURE, MODEL, float("inf")]),
    "half a class": ("explain", [PICTURE, MODEL, 0.5]),
    "markup for a class": ("explain", [PICTURE, MODEL, "<img src=x onerror=alert(1)>"]),
    "an object for a class": ("explain", [PICTURE, MODEL, {"index": 3}]),
    "a class of many kilobytes": ("explain", [PICTURE, MODEL, "lion" * 50_000]),
    "a layer past the end": ("layers", [PICTURE, MODEL, "", 51]),
    "a negative layer": ("layers", [PICTURE, MODEL, "", -1]),
    "a word for a layer": ("layers", [PICTURE, MODEL, "", "last"]),
    "NaN for a layer": ("layers", [PICTURE, MODEL, "", float("nan")]),
    "an infinite layer": ("layers", [PICTURE, MODEL, "", float("inf")]),
    "half a layer": ("layers", [PICTURE, MODEL, "", 1.5]),
    "a list for a layer": ("layers", [PICTURE, MODEL, "", [1]]),
    "true for a layer": ("layers", [PICTURE, MODEL, "", True]),
    "an unknown method": ("compare", [PICTURE, MODEL, "", ["tr_gbp", "magic"]]),
    "no method": ("compare", [PICTURE, MODEL, "", []]),
    "a word for methods": ("compare", [PICTURE, MODEL, "", "tr_gbp"]),
    "an object for methods": ("compare", [PICTURE, MODEL, "", {"tr_gbp": 1}]),
    "nested methods": ("compare", [PICTURE, MODEL, "", [["tr_gbp"]]]),
    "a file for methods": ("compare", [PICTURE, MODEL, "", file("/etc/passwd")]),
    "a box outside": ("measure", [PICTURE, MODEL, "", ["saliency"], [0.5, 0.5, 1.5, 1.5]]),
    "an inverted box": ("measure", [PICTURE, MODEL, "", ["saliency"], [0.9, 0.9, 0.1, 0.1]]),
    "a box of NaN": ("measure", [PICTURE, MODEL, "", ["saliency"], [0, 0, float("nan"), 1]]),
    "a box of words": ("measure", [PICTURE, MODEL, "", ["saliency"], ["left", "top", "right", "bottom"]]),
    "a box of three": ("measure", [PICTURE, MODEL, "", ["saliency"], [0, 0, 1]]),
    "a file for a box": ("measure", [PICTURE, MODEL, "", ["saliency"], file("/etc/passwd")]),
    "a negative number of draws": ("predict", [PICTURE, MODEL, "", -1]),
    "too many draws": ("predict", [PICTURE, MODEL, "", 10**30]),
    "a word for draws": ("predict", [PICTURE, MODEL, "", "many"]),
    "a negative seed": ("cascade", [PICTURE, MODEL, "", "saliency", "gaussian", -1, 1]),
    "a huge seed": ("cascade", [PICTURE, MODEL, "", "saliency", "gaussian", 10**30, 1]),
    "a word for a seed": ("cascade", [PICTURE, MODEL, "", "saliency", "gaussian", "lucky", 1]),
    "an unknown mode": ("cascade", [PICTURE, MODEL, "", "saliency", "shuffle", 0, 1]),
    "an unknown baseline": ("cascade", [PICTURE, MODEL, "", "magic", "gaussian", 0, 1]),
    "a negative number of stages": ("cascade", [PICTURE, MODEL, "", "saliency", "gaussian", 0, -1]),
    "a word for stages": ("cascade", [PICTURE, MODEL, "", "saliency", "gaussian", 0, "all"]),
}
"""Questions that are refused: (endpoint, inputs); a function makes an input of the picture."""


def inputs(asked: list[Any], picture: dict[str, Any]) -> list[Any]:
    """The inputs of one of :data:`CALLS` with a picture that was put in."""
    return [picture if value is PICTURE else value(picture) if callable(value) else value for value in asked]


READINGS = [
    "/file=/etc/passwd",
    *(
        f"/gradio_api/{way}"
        for way in (
            "file=/etc/passwd",
            "file=%2Fetc%2Fpasswd",
            "file=../../../../../../etc/passwd",
            "file=/proc/self/environ",
            "file=/proc/self/cmdline",
            "file/etc/passwd",
            "file=app.py",
            "file=requirements.txt",
            "file=.git/config",
            f"file={ROOT / 'app.py'}",
            f"file={ROOT / 'trgbp_core' / 'serving' / 'limits.py'}",
            f"file={ROOT / 'assets' / 'page' / 'colour_maps.js'}",
            "file=file:///etc/passwd",
            "file=http://127.0.0.1:9/",
            "proxy=http://127.0.0.1:9/",
            "custom_component/1/client/component/..%2f..%2f..%2fetc%2fpasswd",
            "deep_link?session_hash=x",
            "run-history/records",
        )
    ),
    "/static/../../../../../../etc/passwd",
    "/assets/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/svelte/../../../../etc/passwd",
    "/monitoring",
    "/monitoring/summary",
]
"""Addresses that would give away a file of the server's, or make it fetch something."""
