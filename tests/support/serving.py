"""Start the page as a process of its own on a free port of 127.0.0.1, and end it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def served(log: Path, *program: str, environment: Mapping[str, str] | None = None, faults: bool = False) -> Iterator[str]:
    """The address of ``python PROGRAM --port …`` once it answers; nothing in its log may be a traceback unless ``faults`` are asked for."""
    with running(log, *program, environment=environment, faults=faults) as (url, _):
        yield url


@contextmanager
def running(
    log: Path, *program: str, environment: Mapping[str, str] | None = None, faults: bool = False
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """What :func:`served` gives, and the process. A program that reads no arguments finds the port where Gradio looks for it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *program, "--port", str(port)]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), **(environment or {})}
    with log.open("w") as out:
        server = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=environment)
    url = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(2400):
            assert server.poll() is None, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=2).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            raise AssertionError(f"the page did not come up: {log.read_text()}")
        yield url, server
        assert faults or "Traceback" not in log.read_text(), log.read_text()
    finally:
        server.terminate()
        server.wait(120)
