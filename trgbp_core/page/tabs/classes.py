"""The tab Classes: the top 5 side by side (Figs. 7, 8), from the payload of the tab Explain."""

from __future__ import annotations

import gradio as gr

from .room import Room


def build(room: Room) -> None:
    with gr.Tab("Classes", id="classes") as tab:
        room.view("classes")
    room.on_open(tab, "classes")
