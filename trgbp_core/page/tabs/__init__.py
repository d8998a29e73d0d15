"""The page's tabs, one file each: layout and wiring only. :data:`TABS` is their order on the page."""

from __future__ import annotations

from . import camera, cascade, compare, explain, learn, many, measure, predict

TABS = (explain.build, compare.build, cascade.build, measure.build, predict.build, camera.build, many.build, learn.build)
