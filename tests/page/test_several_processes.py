"""Two processes of the page behind nginx, as docs/hosting.md sets them up (deploy/nginx.conf)."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from ..support.serving import free_port, running, until
from ..support.strangers import LION, MODEL, Reply, Stranger, file

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = [pytest.mark.further, pytest.mark.skipif(NGINX is None, reason="nginx is not installed (apt-get install nginx)")]
ROOT = Path(__file__).parents[2]


class Visitor(Stranger):
    """Keeps the cookie that the page gave, as a browser does; ``process`` is the address that answered last."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.cookie, self.process = "", ""
        assert self.request("GET", "/")[0] == 200
        assert self.cookie

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
        given = {"Cookie": self.cookie} if self.cookie else {}
        status, answer, received = super().request(method, path, body, **given, **headers)
        if "set-cookie" in received:
            self.cookie = received["set-cookie"].partition(";")[0]
        self.process = received["x-process"].split(",")[-1].strip()
        return status, answer, received

    def explain(self, picture: dict[str, object]) -> Reply:
        return self.call("explain", [picture, MODEL, ""])


@dataclass
class Site:
    """The address of the proxy, and its processes by their addresses."""

    folder: Path
    url: str
    pages: dict[str, ExitStack] = field(default_factory=dict)

    def start(self, address: str) -> None:
        self.pages[address] = ExitStack()
        log = self.folder / f"{address.partition(':')[2]}.txt"
        self.pages[address].enter_context(running(log, "app.py", port=int(address.partition(":")[2])))

    def visitors(self) -> tuple[Visitor, Visitor]:
        """Two who were sent to different processes."""
        first, found = Visitor(self.url), {}
        for _ in range(100):
            visitor = Visitor(self.url)
            found[visitor.process] = visitor
            if len(found) == 2:
                return found[first.process], next(v for address, v in found.items() if address != first.process)
        raise AssertionError(f"all hundred were sent to {first.process}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    listening, *ports = (free_port() for _ in range(3))
    text = (ROOT / "deploy" / "nginx.conf").read_text()
    for written, used in zip(("listen 8000", "127.0.0.1:7861", "127.0.0.1:7862"), (listening, *ports), strict=True):
        assert written in text
        text = text.replace(written, f"listen 127.0.0.1:{used}" if "listen" in written else f"127.0.0.1:{used}")
    text, added = re.subn(r"(\n +)(add_header Set-Cookie)", r"\1add_header X-Process $upstream_addr always;\1\2", text)
    assert added == 1
    (folder / "nginx.conf").write_text(text.replace("http {", "http {\n    access_log off;", 1))
    made = Site(folder, f"http://127.0.0.1:{listening}/")
    options = f"daemon off; pid {folder}/nginx.pid; error_log {folder}/errors.txt;"
    with ExitStack() as all_of_it:
        for port in ports:
            made.start(f"127.0.0.1:{port}")
            all_of_it.callback(lambda address=f"127.0.0.1:{port}": made.pages[address].close())
        nginx = subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", options])
        all_of_it.callback(nginx.wait, 30)
        all_of_it.callback(nginx.terminate)
        until(lambda: _answers(made.url))
        yield made


def _answers(url: str) -> bool:
    try:
        return bool(Visitor(url))
    except OSError:
        return False


def test_a_visitor_stays_at_the_process_that_he_was_given(site: Site) -> None:
    for visitor in site.visitors():
        process, cookie = visitor.process, visitor.cookie
        for path in ("/", "/config", "/gradio_api/info", "/") * 5:
            status, _, received = visitor.request("GET", path)
            assert (status, visitor.process, visitor.cookie) == (200, process, cookie)
            assert "set-cookie" not in received


def test_what_is_uploaded_stays_at_one_process(site: Site) -> None:
    here, there = site.visitors()
    picture = here.upload(LION, "lion.jpg")
    assert here.explain(picture).data[0]["class"]["index"] == 291
    assert there.explain(picture).sentence
    assert there.request("GET", f"/gradio_api/file={picture['path']}")[0] in (403, 404)
    assert here.explain(picture).data, "and is as it was for the visitor himself"


def test_programs_ask_the_endpoints_through_the_proxy(site: Site, tmp_path: Path) -> None:
    (tmp_path / "lion.jpg").write_bytes(LION)
    client = Client(site.url, verbose=False, download_files=tmp_path)
    data, gallery = client.predict(handle_file(tmp_path / "lion.jpg"), MODEL, "", api_name="/explain")
    assert data["class"]["index"] == 291
    assert len(gallery) == 3


def test_a_restart_of_one_process_loses_nothing_of_the_others(site: Site) -> None:
    restarted, other = site.visitors()
    address, kept = restarted.process, other.process
    lost, picture = restarted.upload(LION, "lion.jpg"), other.upload(LION, "lion.jpg")
    assert restarted.explain(lost).data
    assert other.explain(picture).data
    site.pages[address].close()
    assert restarted.request("GET", "/")[0] == 200
    assert restarted.process == kept, "the visitors of the process that is away are answered by the other"
    assert other.explain(file(picture["path"])).data
    assert other.process == kept
    site.start(address)
    until(lambda: restarted.request("GET", "/")[0] == 200 and restarted.process == address, 60)
    assert restarted.explain(lost).sentence, "what he had uploaded before the restart is gone, and he is told"
    assert restarted.explain(restarted.upload(LION, "lion.jpg")).data
    assert other.explain(picture).data
    assert other.process == kept
