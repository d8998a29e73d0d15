"""``app.py`` on the hostile machine."""

from __future__ import annotations

import sys

import app
from tests.support.hostile_machine import prepare

if __name__ == "__main__":
    prepare()
    app.launch(sys.argv[1:])
