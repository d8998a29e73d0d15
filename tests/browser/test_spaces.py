"""As a Hugging Face Space runs it: another user, a checkout that cannot be written, its variables, behind a path, inside an iframe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.proxy import proxied
from tests.support.serving import running
from tests.support.strangers import ROOT, Stranger

from .chromium import WAIT

pytestmark = pytest.mark.browser
ANOTHER_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
SERVED = ("app.py", "trgbp_core", "assets", "requirements.txt")


def another_user() -> list[str]:
    """A prefix that gives a command another user's id, without a name or rights, where the machine lets one make such a user."""
    possible = shutil.which("unshare") and subprocess.run([*ANOTHER_USER, "true"], capture_output=True).returncode == 0
    print("as another user" if possible else "as this user: no user namespaces here")
    return ANOTHER_USER if possible else []


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address behind a proxy's path, and the folder in which the checkout, the home and the temporary folder lie."""
    folder = tmp_path_factory.mktemp("space")
    checkout = folder / "checkout"
    checkout.mkdir()
    for name in SERVED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, checkout / name)
    for name in ("home", "temporary"):
        (folder / name).mkdir()
    for path in (*checkout.rglob("*"), checkout, folder / "home"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    inherited = dict.fromkeys((key for key in os.environ if key.startswith(("GRADIO", "TORCH", "XDG", "MPL"))), None)
    environment = inherited | {
        "SPACE_ID": "somebody/tr-gbp-explorer",
        "SYSTEM": "spaces",
        "GRADIO_SERVER_NAME": "0.0.0.0",
        "GRADIO_ROOT_PATH": "/somebody/explorer",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    log = folder / "log.txt"
    try:
        started = running(log, "app.py", environment=environment, faults=True, folder=checkout, before=another_user())
        with started as (url, _), proxied(url.rstrip("/"), "/somebody/explorer") as behind:
            yield behind, folder
        # Gradio's reloader on a Space asks for Hugging Face's package in a thread of its own, which a Space has and this machine need not.
        assert log.read_text().count("Traceback") == log.read_text().count("`spaces` package is required"), log.read_text()
    finally:
        for path in (checkout, *checkout.rglob("*"), folder / "home"):
            path.chmod(0o755)


@pytest.mark.parametrize("framed", [False, True])
def test_it_explains_behind_a_path_and_inside_a_frame(framed: bool, space: tuple[str, Path], browser: Browser) -> None:
    url, _ = space
    page = browser.new_page(viewport={"width": 1320, "height": 900})
    errors: list[str] = []
    page.on("response", lambda answer: errors.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url.replace("localhost", "127.0.0.1").replace("/somebody/explorer/", "/frame") if framed else url)
    inside = page.frames[-1] if framed else page.main_frame
    inside.wait_for_function("document.body && document.body.dataset.trgbpExplain", timeout=WAIT)
    first = inside.evaluate("document.body.dataset.trgbpExplain")
    inside.locator("#tg-input input[type=file]").set_input_files(str(ROOT / "assets" / "examples" / "chelsea.jpg"))
    inside.wait_for_function("first => document.body.dataset.trgbpExplain !== first", arg=first, timeout=WAIT)
    assert "Egyptian cat" in inside.locator("#tg-status").inner_text()
    assert inside.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    failed = list(errors)
    page.close()
    # Gradio looks the Space up at its hub, which is not reached from here; a Space has no icon of its own at the root of its address.
    assert [error for error in failed if "favicon" not in error] == []


def test_it_writes_nothing_outside_its_temporary_folder(space: tuple[str, Path]) -> None:
    url, folder = space
    assert Stranger(url)
    assert not list((folder / "home").iterdir())
    assert {path.name for path in (folder / "checkout").iterdir()} == set(SERVED)
    assert list((folder / "temporary").glob("trgbp-*"))


def test_an_optional_spaces_package_takes_the_heavy_handlers_and_nothing_else_changes(tmp_path: Path) -> None:
    """A stand-in for Hugging Face's package, which does nothing off its own machines: it counts what it is given."""
    (tmp_path / "spaces.py").write_text(
        "taken = []\ndef GPU(work):\n    taken.append(work.__name__)\n    return work\n"
        "import atexit; atexit.register(lambda: print('taken:', *sorted(set(taken))))\n"
    )
    program = "import app, trgbp_core.serving.server as h; demo = app.launch(['--port', '7989'], prevent_thread_lock=True)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout.split() for name in ("explain", "compare", "cascade", "measure", "layers", "new_picture", "randomise"))
    assert "_fetch" not in done.stdout.split()
