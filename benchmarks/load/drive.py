"""Drive the page's endpoints as a class of 30 would, and check every answer."""

from __future__ import annotations

import ssl
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from gradio_client import Client, handle_file

from benchmarks.load import questions
from benchmarks.load.process import Server
from benchmarks.load.questions import Question, Truth
from tests.support.serving import running

PICTURES = 30
MEGABYTE = 2**20
PROGRAM = ("-m", "benchmarks.load.server")
HEAD = ("| measured | value | limit | met |", "|---|---:|---:|---|")
TLS: Any = ssl.create_default_context()
"""One for all requests. Each would make its own otherwise, which took half of the machine; and a class has a machine each."""


@dataclass
class Record:
    """(kind, network, seconds, client) of every answer; what was wrong; (second, resident bytes) of the server."""

    answers: list[tuple[str, str, float, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    resident: list[tuple[float, int]] = field(default_factory=list)

    def seconds(self, kind: str) -> list[float]:
        return [s for found, _, s, _ in self.answers if found == kind]


def connected(url: str) -> Client:
    """A client that has opened the page before it asks, as a browser does: a proxy may have given it a cookie."""
    cookies = dict(httpx.get(url, verify=TLS, follow_redirects=True).cookies)
    return Client(url, verbose=False, ssl_verify=TLS, httpx_kwargs={"cookies": cookies})


def client(
    number: int, url: str, asked: list[Question], truth: dict[tuple[Path, str], Truth], until: float, pause: float, record: Record
) -> None:
    """Ask and check until the time is up, with a pause after each answer."""
    try:
        connection = connected(url)
        for question in asked:
            if time.monotonic() >= until:
                return
            endpoint, extra = questions.arguments(question)
            wanted = "" if question.kind == "new" else str(question.k)
            begun = time.monotonic()
            data, _ = connection.predict(handle_file(question.picture), question.model, wanted, *extra, api_name=endpoint)
            record.answers.append((question.kind, question.model, time.monotonic() - begun, number))
            found = questions.wrong(question, truth[question.picture, question.model], data)
            if found:
                record.errors.append(f"{question.kind} of {question.picture.name} by {question.model}: {found}")
            time.sleep(pause)
    except httpx.RequestError as error:
        request = f"{error.request.method} {error.request.url.path[:60]}"
        record.errors.append(f"client {number}, {until - time.monotonic():.1f} s before the end: {type(error).__name__} at {request}")
    except Exception as error:
        record.errors.append(f"client {number}: {type(error).__name__}: {error}")


def drive(
    server: Server | str, count: int, seconds: float, pause: float, files: list[Path], truth: dict[tuple[Path, str], Truth]
) -> Record:
    """``count`` clients for ``seconds``. Of a server that is known by its address alone, no memory is recorded."""
    url = server if isinstance(server, str) else server.url
    record, until = Record(), time.monotonic() + seconds
    begun = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(i, url, questions.sequence(i, files, truth), truth, until, pause, record), daemon=True)
        for i in range(count)
    ]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
        if isinstance(server, Server):
            record.resident.append((time.monotonic() - begun, server.resident()))
        time.sleep(1)
    for thread in threads:
        thread.join(120)
        if thread.is_alive():
            record.errors.append("a client is still waiting two minutes after the end")
    return record


def leaving(server: Server, picture: Path) -> float:
    """Seconds until the server is idle after a client with a long request has cancelled it; 50 layers would take a minute."""
    connection = connected(server.url)
    job = connection.submit(handle_file(picture), "efficientnet_lite0", "", "guided_ig", "gaussian", 0, 0, api_name="/cascade")
    time.sleep(6)
    job.cancel()
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        before = server.processor_seconds()
        time.sleep(0.5)
        if server.processor_seconds() - before < 0.1:
            return time.monotonic() - begun
    return float("inf")


def together(server: Server, count: int, picture: Path, counted: Path) -> int:
    """How many forward passes it costs when ``count`` clients ask for the same new picture at once."""
    connections = [connected(server.url) for _ in range(count)]
    counted.write_bytes(b"")
    jobs = [c.submit(handle_file(picture), "efficientnet_lite0", "", api_name="/explain") for c in connections]
    answers = [job.result(120)[0]["class"]["index"] for job in jobs]
    assert len(set(answers)) == 1, "the same picture was answered differently"
    return counted.stat().st_size


@contextmanager
def fresh(folder: Path) -> Iterator[Server]:
    """A server of its own for each measurement, so that none finds what another has left in the caches."""
    environment = {"TRGBP_COUNT": str(folder / "count")}
    with running(folder / "log.txt", *PROGRAM, environment=environment) as (url, process):
        server = Server(url, process.pid)
        connected(server.url).predict(handle_file(questions.EXAMPLES / "coffee.jpg"), "efficientnet_lite0", "", api_name="/explain")
        yield server


def row(what: str, value: str, asked: str, met: bool) -> str:
    return f"| {what} | {value} | {asked} | {'yes' if met else '**no**'} |"


def answers(records: list[Record], many: Record, pause: float) -> list[str]:
    """What the clients noticed: lines of the table."""
    wrong, picks = [error for record in records for error in record.errors], many.seconds("pick") or [float("inf")]
    clients = {who for *_, who in many.answers}
    means = [statistics.mean(s for _, _, s, who in many.answers if who == i) for i in clients] or [float("inf")]
    middle, slowest = statistics.median(means), max(means)
    high, longest, limit = float(np.percentile(picks, 95, method="inverted_cdf")), max(picks), 2 if pause else 6
    return [
        row("errors and mixed-up answers", f"{len(wrong)} of {sum(len(record.answers) for record in records)}", "0", not wrong),
        row("class pick, 95 %", f"{high:.2f} s", f"≤ {limit} s", high <= limit),
        row("class pick, longest", f"{longest:.1f} s", "≤ 20 s", longest <= 20),
        row("slowest client ÷ median client", f"{slowest / middle:.1f} ({slowest:.1f} s, {middle:.1f} s)", "≤ 3", slowest <= 3 * middle),
    ]


def table(one: Record, many: Record, alone: float, seconds: float, pause: float, idle: float, passes: int) -> str:
    """Every figure beside its limit; those that compare with one client only where nobody pauses."""
    late = [size / MEGABYTE for at, size in many.resident if at >= 60] or [many.resident[-1][1] / MEGABYTE]
    largest = max(size for _, size in many.resident) / MEGABYTE
    rows = [
        *answers([one, many], many, pause),
        row("memory after the first minute", f"{late[0]:.0f} to {max(late):.0f} MB", "flat, within 10 %", max(late) <= 1.1 * late[0]),
        row("memory, largest", f"{largest:.0f} MB", "≤ 2048 MB", largest <= 2048),
        row("forward passes for one picture asked by all", f"{passes}", "1", passes == 1),
        row("idle after a client has cancelled", f"{idle:.1f} s", "≤ 5 s", idle <= 5),
    ]
    if not pause:
        rate_one, rate_many = len(one.answers) / alone, len(many.answers) / seconds
        rates = f"{rate_many / rate_one:.2f} ({rate_many:.2f}/s, {rate_one:.2f}/s)"
        rows.append(row("throughput ÷ one busy client's", rates, "≥ 0.9", rate_many >= 0.9 * rate_one))
    return "\n".join([*HEAD, *rows])


def run(clients: int, seconds: float, alone: float, pause: float, url: str | None = None) -> None:
    """Measure and print; of a page that runs already, at ``url`` (:mod:`.server`, one or several behind a proxy), what clients notice.

    Raises:
        ValueError: a number that makes no sense.
    """
    if clients < 1 or min(seconds, alone) <= 0 or pause < 0:
        raise ValueError("--clients is at least 1, --seconds and --alone are above 0, --pause is not below 0.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = questions.pictures(folder, PICTURES)
        truth = questions.truths(files)
        if url is not None:
            there = drive(url, clients, seconds, pause, files, truth)
            rows = [*answers([there], there, pause), row("answers in a second", f"{len(there.answers) / seconds:.2f}", "–", True)]
            print("\n".join([f"{clients} clients for {seconds:.0f} s at {url}", "", *HEAD, *rows, *there.errors[:10]]))
            return
        with fresh(folder) as server:
            one = drive(server, 1, alone, pause, files, truth)
        with fresh(folder) as server:
            passes = together(server, clients, files[1], folder / "count")
            idle = leaving(server, files[0])
        with fresh(folder) as server:
            many = drive(server, clients, seconds, pause, files, truth)
    print(f"{clients} clients for {seconds:.0f} s\n\n{table(one, many, alone, seconds, pause, idle, passes)}")
    for error in (one.errors + many.errors)[:10]:
        print(error)
