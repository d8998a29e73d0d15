"""Start the page as a process of its own on a free port of 127.0.0.1, and end it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
Environment = Mapping[str, str | None]


def until(true: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until ``true()`` is; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(log: Path, *program: str, environment: Environment | None = None, faults: bool = False) -> Iterator[str]:
    """The address of ``python PROGRAM --port …`` once it answers; nothing in its log may be a traceback unless ``faults`` are asked for."""
    with running(log, *program, environment=environment, faults=faults) as (url, _):
        yield url


@contextmanager
def running(
    log: Path,
    *program: str,
    environment: Environment | None = None,
    faults: bool = False,
    folder: Path = ROOT,
    before: Sequence[str] = (),
    port: int | None = None,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """What :func:`served` gives, and the process. A program that reads no arguments finds the port where Gradio looks for it.

    Args:
        environment: added to this process's; None removes a variable.
        folder: where the program runs. before: stands before the command. port: by default a free one.
    """
    port = free_port() if port is None else port
    command = [*before, sys.executable, *program, "--port", str(port)]
    variables = {**os.environ, "GRADIO_SERVER_PORT": str(port), **(environment or {})}
    with log.open("w") as out:
        given = {name: value for name, value in variables.items() if value is not None}
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=given)
    url = f"http://127.0.0.1:{port}/"

    def answers() -> bool:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except OSError:
            return False
        return True

    try:
        until(answers)
        yield url, server
        assert faults or "Traceback" not in log.read_text(), log.read_text()
    finally:
        server.terminate()
        server.wait(120)
