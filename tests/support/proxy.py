"""A reverse proxy on 127.0.0.1 that serves a page under a path, as a Space or a university's server does, and a page that frames it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP = {"connection", "transfer-encoding", "keep-alive", "host", "content-length"}


@contextmanager
def proxied(url: str, path: str) -> Iterator[str]:
    """The address under which ``url`` is reached through the proxy; ``/frame`` beside it shows it in an iframe."""
    target = urlsplit(url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/frame":
                port = self.server.server_address[1]
                page = f'<!doctype html><iframe src="http://localhost:{port}{path}/" width="1280" height="800" title="page"></iframe>'
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(page.encode())
                return
            self._pass_on()

        def _pass_on(self) -> None:
            if not self.path.startswith(path):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            headers |= {"Host": self.headers["Host"], "X-Forwarded-For": self.client_address[0], "X-Forwarded-Host": self.headers["Host"]}
            onward = http.client.HTTPConnection(str(target.hostname), target.port, timeout=300)
            onward.request(self.command, self.path.removeprefix(path) or "/", body, headers)
            answer = onward.getresponse()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.end_headers()
            while part := answer.read1(65536):
                self.wfile.write(part)
                self.wfile.flush()
            onward.close()

        do_POST = do_HEAD = _pass_on  # noqa: N815 - the names that the standard library asks for

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # browsers hang up on streams as they please
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_address[1]}{path}/"
    finally:
        server.shutdown()
        server.server_close()
