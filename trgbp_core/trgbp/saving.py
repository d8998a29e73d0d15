"""Tensors and facts in one ``.npz`` file: numpy's own format, in which nothing is executed when it is read."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FACTS = "facts"
FORMAT = "trgbp-explanation-1"


def save(path: str | Path, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write ``tensors`` and ``facts``, whatever JSON can hold, to the file ``path``; a file that is there is replaced.

    Raises:
        OSError: it cannot be written.
    """
    dtypes = {name: str(t.dtype).removeprefix("torch.") for name, t in tensors.items()}
    # numpy has no bfloat16; float32 holds each of its numbers.
    arrays = {name: (t.float() if t.dtype == torch.bfloat16 else t).detach().cpu().numpy() for name, t in tensors.items()}
    about = json.dumps({"format": FORMAT, "dtypes": dtypes, **facts})
    with Path(path).open("wb") as file:
        np.savez(file, **{FACTS: np.array(about)}, **arrays)  # type: ignore[arg-type]


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What :func:`save` wrote.

    Raises:
        OSError: it cannot be read. ValueError: the file is none of these.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            facts = json.loads(str(file[FACTS]))
            if facts["format"] != FORMAT:
                raise ValueError(facts["format"])
            tensors = {name: torch.from_numpy(file[name]).to(getattr(torch, dtype)) for name, dtype in facts["dtypes"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is not an explanation that Explanation.save wrote, or it is damaged.") from error
    return tensors, facts
