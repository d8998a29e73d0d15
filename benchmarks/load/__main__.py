"""Drive the page's endpoints as a class of 30 would, and check every answer: ``python -m benchmarks.load``; on this machine only."""

from __future__ import annotations

import argparse
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
from gradio_client import Client, handle_file

from benchmarks.load import questions
from benchmarks.load.process import Server
from benchmarks.load.questions import Question, Truth
from tests.support.serving import running

PICTURES = 30
MEGABYTE = 2**20
PROGRAM = ("-m", "benchmarks.load.server")
TLS: Any = ssl.create_default_context()
"""One for all requests. Each would make its own otherwise, which took half of the machine; and a class has a machine each."""


@dataclass
class Record:
    """What the clients saw: (kind, network, seconds, client) of every answer; what was wrong; resident bytes by second."""

    answers: list[tuple[str, str, float, int]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    resident: list[tuple[float, int]] = field(default_factory=list)

    def seconds(self, kind: str) -> list[float]:
        return [s for found, _, s, _ in self.answers if found == kind]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def connected(url: str) -> Client:
    return Client(url, verbose=False, ssl_verify=TLS)


def client(number: int, url: str, asked: Iterator[Question], truth: dict[tuple[Path, str], Truth], until: float, record: Record) -> None:
    """Ask and check until the time is up."""
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
    except httpx.RequestError as error:
        request = f"{error.request.method} {error.request.url.path[:60]}"
        record.errors.append(f"client {number}, {until - time.monotonic():.1f} s before the end: {type(error).__name__} at {request}")
    except Exception as error:
        record.errors.append(f"client {number}: {type(error).__name__}: {error}")


def drive(server: Server, count: int, seconds: float, files: list[Path], truth: dict[tuple[Path, str], Truth]) -> Record:
    """``count`` clients for ``seconds``; one busy client asks what the others would ask, in turns."""
    record, until = Record(), time.monotonic() + seconds
    begun = time.monotonic()
    threads = [
        threading.Thread(target=client, args=(i, server.url, iter(questions.sequence(i, files, truth)), truth, until, record), daemon=True)
        for i in range(count)
    ]
    for thread in threads:
        thread.start()
    while time.monotonic() < until:
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


def table(one: Record, many: Record, alone: float, seconds: float, left: float, flights: int) -> str:
    """Every acceptance number beside what is asked for."""
    rate_one, rate_many = len(one.answers) / alone, len(many.answers) / seconds
    pick_one, pick_many = statistics.median(one.seconds("pick")), percentile(many.seconds("pick"), 0.95)
    waits = [max(s for _, _, s, who in many.answers if who == i) for i in {a[3] for a in many.answers}]
    typical = statistics.median(s for _, _, s, _ in many.answers)
    late = [size / MEGABYTE for at, size in many.resident if at >= 60] or [many.resident[-1][1] / MEGABYTE]
    means = {i: statistics.mean(s for _, _, s, who in many.answers if who == i) for i in {a[3] for a in many.answers}}
    middle, slowest = statistics.median(means.values()), max(means.values())
    wrong = one.errors + many.errors
    longest, growth, largest = max(waits), max(late) / late[0], max(size for _, size in many.resident) / MEGABYTE
    rates = f"{rate_many / rate_one:.2f} ({rate_many:.2f}/s, {rate_one:.2f}/s)"
    picks = f"{pick_many / pick_one:.1f} ({pick_many:.2f} s, {pick_one:.2f} s)"
    rows = [
        row("errors and mixed-up answers", f"{len(wrong)} of {len(one.answers) + len(many.answers)}", "0", not wrong),
        row("throughput ÷ one busy client's", rates, "≥ 0.9", rate_many >= 0.9 * rate_one),
        row("class pick, 95 % ÷ serial", picks, "≤ 30", pick_many <= 30 * pick_one),
        row("longest wait ÷ median wait", f"{longest / typical:.1f} ({longest:.1f} s, {typical:.1f} s)", "≤ 3", longest <= 3 * typical),
        row("slowest client ÷ median client", f"{slowest / middle:.1f} ({slowest:.1f} s, {middle:.1f} s)", "≤ 3", slowest <= 3 * middle),
        row("memory after the first minute", f"{late[0]:.0f} to {max(late):.0f} MB", "flat, within 10 %", growth <= 1.1),
        row("memory, largest", f"{largest:.0f} MB", "≤ 2048 MB", largest <= 2048),
        row("forward passes for one picture asked by all", f"{flights}", "1", flights == 1),
        row("idle after a client has cancelled", f"{left:.1f} s", "≤ 5 s", left <= 5),
    ]
    return "\n".join(["| measured | value | asked | met |", "|---|---:|---:|---|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=180.0, help="how long all clients ask (default 180)")
    parser.add_argument("--alone", type=float, default=40.0, help="how long one client asks alone, for comparison (default 40)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = questions.pictures(folder, PICTURES)
        truth = questions.truths(files)
        with fresh(folder) as server:
            one = drive(server, 1, options.alone, files, truth)
        with fresh(folder) as server:
            flights = together(server, options.clients, files[1], folder / "count")
            left = leaving(server, files[0])
        with fresh(folder) as server:
            many = drive(server, options.clients, options.seconds, files, truth)
    print(f"{options.clients} clients for {options.seconds:.0f} s\n\n{table(one, many, options.alone, options.seconds, left, flights)}")
    for error in (one.errors + many.errors)[:10]:
        print(error)


if __name__ == "__main__":
    main()
