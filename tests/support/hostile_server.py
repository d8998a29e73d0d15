"""A server of weights on 127.0.0.1 that stalls, truncates, lies, dawdles, dies and recovers."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass, field


@dataclass
class Server:
    """Serves ``files``; the first requests go as ``script`` says, the rest well.

    A step is ``half`` (half of the bytes, then the connection breaks), ``stall`` (half of them, then silence), ``mute`` (silence),
    ``lie`` (as many other bytes), ``endless`` (no end), ``slow`` (a hundredth at a time, until released), ``slow lie``, or a status code.
    """

    files: dict[str, bytes]
    script: list[object] = field(default_factory=list)
    ranges: bool = True
    requests: list[str | None] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    silent: bool = False
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen: on a free port the first time, on the same one afterwards."""
        state = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    state.answer(self)
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.release.clear()
        self._listener = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._listener.daemon_threads = True
        self.port = self._listener.server_port
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens any more."""
        self.release.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.requests.append(asked)
        step = self.script.pop(0) if self.script else "well"
        if step == "mute":
            self.release.wait(30)
            return
        file = self.files.get(handler.path.rpartition("/")[2])
        if isinstance(step, int) or file is None:
            handler.send_error(step if isinstance(step, int) else 404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(file):
            handler.send_error(416)
            return
        content = bytes(len(file) - start) if step in ("lie", "slow lie") else file[start:]
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(file) - 1}/{len(file)}")
        if step != "endless":
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        self._send(handler, content, step)

    def _send(self, handler: http.server.BaseHTTPRequestHandler, content: bytes, step: object) -> None:
        if step in ("slow", "slow lie"):
            chunk = len(content) // 100
            for start in range(0, len(content), chunk):
                handler.wfile.write(content[start : start + chunk])
                self.release.wait(0.25)
            return
        handler.wfile.write(content[: len(content) // 2] if step in ("half", "stall") else content)
        if step == "stall":
            self.silent = True
            self.release.wait(30)
            self.silent = False
        while step == "endless" and not self.release.is_set():
            handler.wfile.write(content)
