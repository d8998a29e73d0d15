"""The invitation: an address that others reach, shown only where they can, and its QR code."""

from __future__ import annotations

import pytest

from trgbp_core.page.tabs.invitation import address_for, is_served_to_others, own_address, qr_code


@pytest.mark.parametrize(
    ("at", "shared", "local", "address"),
    [
        ("http://127.0.0.1:7860/", "", "192.168.1.20", "http://192.168.1.20:7860/"),
        ("http://localhost:8000/", "", "192.168.1.20", "http://192.168.1.20:8000/"),
        ("http://192.168.1.7:7860/", "", "10.0.0.1", "http://192.168.1.7:7860/"),
        ("https://example.org/some/path/", "", "10.0.0.1", "https://example.org/some/path/"),
        ("http://127.0.0.1:7860/", "https://x.gradio.live", "10.0.0.1", "https://x.gradio.live"),
        ("http://127.0.0.1:7860/", "", "", ""),
        ("javascript:alert(1)", "", "10.0.0.1", ""),
        ("", "", "10.0.0.1", ""),
    ],
)
def test_the_address_is_one_that_others_reach(at: str, shared: str, local: str, address: str) -> None:
    assert address_for(at, shared, local) == address


def test_a_page_for_this_machine_alone_invites_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    assert not any(map(is_served_to_others, (None, "127.0.0.1", "localhost", "::1")))
    assert all(map(is_served_to_others, ("0.0.0.0", "::", "192.168.1.20", "example.org")))
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert is_served_to_others(None)


def test_the_code_is_a_picture_without_scripts_and_absent_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    code = qr_code("http://192.168.1.20:7860/")
    assert code.startswith("<svg")
    assert "script" not in code
    assert qr_code("") == ""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert qr_code("http://192.168.1.20:7860/") == ""


def test_looking_up_this_machines_address_needs_no_network() -> None:
    found = own_address()
    print(found or "on no network")
    assert not found.startswith("127.")
