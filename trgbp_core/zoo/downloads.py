"""Weights are downloaded: resumed where they broke off, checked, and put into torch's cache in one step or not at all."""

from __future__ import annotations

import errno
import http
import http.client
import os
import shutil
import socket
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any, BinaryIO

from ..serving.jobs import Cancel, Job, Jobs, Progress
from .checkpoints import UnreachableError, WeightsError, directory, find, hash_prefix, is_sound

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

TIMEOUT_SECONDS = 20.0
"""After so long without a byte the server counts as stalled."""

RETRIES = 2
PAUSE_SECONDS = 0.5
CHUNK_BYTES = 2**18
SLACK_BYTES = 2**20
"""Published sizes are rounded to a thousandth of a megabyte; a server that sends much more sends another file."""

_jobs: Jobs[Path] = Jobs()


def fetch(
    url: str,
    *,
    name: str,
    size: int = 0,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> Path:
    """The sound file behind ``url`` on this machine: found, or downloaded into torch's cache, once for all who ask at the same time.

    The environment variable ``TRGBP_WEIGHTS_URL`` names a mirror: a folder that holds the files under the same names.

    Args:
        url: its last part is the file's name, and carries the start of the SHA-256. name: the network's, for sentences.
        size: bytes expected; a server that sends much more is not believed.
        progress: ``(bytes done, bytes in all)``, called in the caller's thread. cancel: see :data:`jobs.Cancel`.

    Raises:
        WeightsError: no network, no room, a stalled server, a wrong file. jobs.Cancelled: ``cancel`` said so.
    """
    filename = url.rpartition("/")[2]
    target = directory() / filename
    mirror = os.environ.get("TRGBP_WEIGHTS_URL")
    address = f"{mirror.rstrip('/')}/{filename}" if mirror else url

    def work(job: Job[Path]) -> Path:
        found = find(filename, name)
        prefix = hash_prefix(filename) if found is not None and found.name == filename else ""
        if found is not None and is_sound(found, prefix):
            return found
        if found is not None and found != target:
            raise WeightsError(f"{filename} in the folder of TRGBP_MODEL_DIR is damaged: its SHA-256 is not {prefix}… Replace it.")
        try:
            return _Download(job, address, target, name, size).run()
        except OSError as error:
            raise _no_room(error, name) from error

    return _jobs.join((str(target), address), work, progress=progress, cancel=cancel)


def remedy(name: str) -> str:
    return (
        "Use the embedded network efficientnet_lite0, which needs no download; or fetch the weights where there is a network, with "
        f"`python -m trgbp_core models --fetch {name}`, and name their folder in TRGBP_MODEL_DIR."
    )


class _Download:
    """The download of one file. The bytes gather in ``FILE.part``, which the next attempt, today's or tomorrow's, resumes."""

    def __init__(self, job: Job[Path], url: str, target: Path, name: str, size: int) -> None:
        self.job, self.url, self.target, self.name = job, url, target, name
        self.limit = size + SLACK_BYTES if size else float("inf")
        self.resumed = False

    def run(self) -> Path:
        self.target.parent.mkdir(parents=True, exist_ok=True)
        file, path = _open_partial(self.target)
        try:
            with file:
                # A file that was pieced together gets a second chance from the first byte on.
                if not self._complete(file, path) and not (self.resumed and self._complete(file, path)):
                    raise WeightsError(f"What arrived for {self.name} is not the right file (wrong SHA-256). {remedy(self.name)}")
                if fcntl is None:
                    file.close()
                # Under the lock: nobody else may resume a part that is about to become the file.
                os.replace(path, self.target)
        finally:
            if path.name != self.target.name + ".part":
                path.unlink(missing_ok=True)
        return self.target

    def _complete(self, file: BinaryIO, path: Path) -> bool:
        """Fetch what is missing; is it the right file then? A wrong one is emptied."""
        self._gather(file)
        file.flush()
        if is_sound(path, hash_prefix(self.target.name)):
            os.fsync(file.fileno())
            return True
        _empty(file)
        return False

    def _gather(self, file: BinaryIO) -> None:
        """Until all bytes are here; again after a failure, as long as attempts bring bytes."""
        furthest, failures, stalls = _length(file), 0, 0
        while True:
            try:
                return self._transfer(file)
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
                file.flush()
                failures = 0 if _length(file) > furthest else failures + 1
                furthest = max(furthest, _length(file))
                # A silence costs the whole timeout each time, so silences are counted even if some bytes came between them.
                stalls += isinstance(_reason(error), TimeoutError)
                if max(failures, stalls) > RETRIES or (failures and _is_final(error)):
                    raise _failure(error, self.name) from error
            self.job.abandoned.wait(PAUSE_SECONDS)
            self.job.report("", 0)

    def _transfer(self, file: BinaryIO) -> None:
        start = _length(file)
        request = urllib.request.Request(self.url, headers={"User-Agent": "trgbp-explorer", "Accept-Encoding": "identity"})
        if start:
            request.add_header("Range", f"bytes={start}-")
        try:
            response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
                raise
            _empty(file)
            return self._transfer(file)
        with response:
            if start and not (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-"):
                _empty(file)
                start = 0
            self.resumed = self.resumed or bool(start)
            self._copy(response, file, start)

    def _copy(self, response: Any, file: BinaryIO, start: int) -> None:
        length = response.headers.get("Content-Length") or ""
        total = start + int(length) if length.isdigit() else 0
        if total > self.limit:
            raise WeightsError(f"The server offers another file than {self.name}'s weights: it is too large. {remedy(self.name)}")
        if total and shutil.disk_usage(self.target.parent).free < total - start:
            raise OSError(errno.ENOSPC, "no room")
        done = start
        self.job.report(done, total)
        while chunk := _received(response):
            file.write(chunk)
            done += len(chunk)
            if done > self.limit:
                raise WeightsError(f"The server sends another file than {self.name}'s weights: it is too large. {remedy(self.name)}")
            self.job.report(done, total)
        if done < total:
            raise ConnectionError("The server closed the connection early.")


def _received(response: Any) -> bytes:
    try:
        return response.read1(CHUNK_BYTES)
    except TimeoutError:
        raise
    except OSError as error:
        # Not an OSError, as errors of writing are, which mean a full disk.
        raise ConnectionError(str(error)) from error


def _length(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _open_partial(target: Path) -> tuple[BinaryIO, Path]:
    """The part that was left behind, locked; or a new part where somebody else, perhaps another process, is filling that one."""
    path = target.with_name(target.name + ".part")
    while fcntl is not None:
        file = path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The part may have become the file since it was opened.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file, path
            file.close()
        except OSError:
            file.close()
            break
    path = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    return path.open("xb"), path


def _reason(error: Exception) -> object:
    """urllib wraps what went wrong while connecting, and not what went wrong later."""
    return getattr(error, "reason", error)


def _is_final(error: Exception) -> bool:
    """Not worth another try: the server has refused, or has been silent for the whole timeout."""
    reason = _reason(error)
    refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
    return refused or isinstance(reason, (TimeoutError, socket.gaierror))


def _failure(error: Exception, name: str) -> WeightsError:
    reason, kind = _reason(error), WeightsError
    if isinstance(error, urllib.error.HTTPError):
        what = f"the server answers {error.code}"
    elif isinstance(reason, TimeoutError):
        what = "the server has stalled"
    elif isinstance(error, urllib.error.URLError):
        what, kind = "the server cannot be reached", UnreachableError
    else:
        what = "the connection broke off"
    return kind(f"The weights of {name} cannot be downloaded: {what}. {remedy(name)}")


def _no_room(error: OSError, name: str) -> WeightsError:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        what = f"There is no room on the disk for the weights of {name}. Make room, or move torch's cache with TORCH_HOME."
    else:
        what = f"The weights of {name} cannot be saved: torch's cache cannot be written. Move it with TORCH_HOME."
    return WeightsError(f"{what} The embedded network efficientnet_lite0 needs no download.")
