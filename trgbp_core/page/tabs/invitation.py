"""The invitation: the page's address on the local network, to be projected for a class, with a QR code where ``segno`` is installed."""

from __future__ import annotations

import importlib.util
import io
import ipaddress
import itertools
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from .context import QUIET, PageContext

EVERYWHERE = ("0.0.0.0", "::", "[::]")
_numbers = itertools.count(1)


def is_served_to_others(host: str | None) -> bool:
    """Whether a page that listens on ``host`` (None: as Gradio's environment says) is reached from other machines."""
    host = host or os.environ.get("GRADIO_SERVER_NAME", "")
    return host in EVERYWHERE or not _is_this_machine(host)


def build(context: PageContext, demo: gr.Blocks) -> None:
    """The carrier of the invitation; the button stands at the top of the page (``assets/page/invite.js``)."""
    carrier = context.carrier("invitation", "TRGBP.inviting(() => trigger('submit'));")

    def invite(at: Any) -> dict[str, str]:  # each time anew: a laptop may have changed its network
        address = address_for(str(at)[:200], str(getattr(demo, "share_url", None) or ""), own_address())
        return {"key": str(next(_numbers)), "address": address, "code": qr_code(address)}

    carrier.submit(invite, carrier, carrier, js="() => window.location.origin + window.location.pathname", queue=False, **QUIET)


def address_for(at: str, shared: str, local: str) -> str:
    """Where others find the page that its visitor has opened at the address ``at``.

    Args:
        shared: Gradio's public link, where there is one. local: this machine's address on its network.
    """
    parts = urlsplit(at)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    if not _is_this_machine(parts.hostname):
        return at
    if shared:
        return shared
    return f"{parts.scheme}://{local}{f':{parts.port}' if parts.port else ''}{parts.path}" if local else ""


def own_address() -> str:
    """This machine's address on its network; empty where it has none. Nothing is sent: a route is looked up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            found = str(probe.getsockname()[0])
        except OSError:
            return ""
    return "" if _is_this_machine(found) else found


def qr_code(text: str) -> str:
    """A QR code as SVG; empty without the optional package ``segno``, or without a text."""
    if not text or importlib.util.find_spec("segno") is None:
        return ""
    import segno

    out = io.BytesIO()
    segno.make(text, micro=False).save(out, kind="svg", xmldecl=False, svgns=True, omitsize=True, border=4, light="#fff", title="QR code")
    return out.getvalue().decode()


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in ("", "localhost")
