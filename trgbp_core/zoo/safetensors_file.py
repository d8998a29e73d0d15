"""Files in the safetensors format: the length of a header (8 bytes), the header (JSON), and the tensors' bytes. Nothing is executed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        ValueError, or another error: the file is damaged, or holds numbers of another kind than :data:`DTYPES`.
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        room = path.stat().st_size - 8 - length
        if room < 0:
            raise ValueError("The header is longer than the file.")
        header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        # Side by side and to the end: else a small file could ask for any amount of memory.
        end, tensors = 0, {}
        for name, about in sorted(header.items(), key=lambda one: one[1]["data_offsets"]):
            begin, after = about["data_offsets"]
            if not begin == end <= after <= room:
                raise ValueError("The tensors do not lie side by side.")
            numbers = torch.from_numpy(np.fromfile(stream, np.uint8, after - begin)) if after > begin else torch.empty(0, dtype=torch.uint8)
            tensors[name], end = numbers.view(DTYPES[about["dtype"]]).reshape(about["shape"]), after
        if end != room:
            raise ValueError("The file is longer than its tensors.")
    return tensors
