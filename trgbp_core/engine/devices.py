"""Where a network computes: the processor or a graphics card, and how much each takes at a time.

A network is explained wherever it lies; the command line and the page choose by :func:`prepare`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")
KINDS = ("cpu", "cuda", "mps")

EXPLAINED, EXPLAINED_ON_A_CARD = 4, 32
PERTURBED, PERTURBED_ON_A_CARD = 5, 256
MOST_WORKERS = 8


class DeviceError(ValueError):
    """A device that does not exist on this machine, or at all."""


def pick(name: str | torch.device | None = None) -> torch.device:
    """The device ``cpu``, ``cuda``, ``cuda:1`` or ``mps``; of None or ``auto``, cuda if there is one, else the processor.

    Raises:
        DeviceError: there is no such device here; the message says what there is.
    """
    if name is None or name == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else CPU
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = None
    if device is None or device.type not in KINDS:
        raise DeviceError(f"A device is auto, cpu, cuda (cuda:1 for the second card) or mps, not {str(name)[:40]!r}.")
    if device.type == "cuda":
        _check_card(device)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("There is no MPS device here (Apple's graphics processor): leave --device out, or give --device cpu.")
    return device


def _check_card(device: torch.device) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count == 0:
        reason = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no NVIDIA card or driver"
        raise DeviceError(f"There is no CUDA device here ({reason}): leave --device out, or give --device cpu.")
    if device.index is not None and device.index >= count:
        raise DeviceError(f"There is no {device} here; the last one is cuda:{count - 1}.")


def prepare(name: str | torch.device | None, *, float64: bool = True) -> torch.device:
    """:func:`pick` for a program of our own, which computes in full float32 on a card too.

    By default convolutions on a card round their inputs to 10 bits (TF32): units near zero would open or close, and guided maps jump.

    Raises:
        DeviceError: there is no such device here, or it lacks ``float64``, which measures and statistics need.
    """
    device = pick(name)
    if float64 and device.type == "mps":
        raise DeviceError("An MPS device computes no float64, which this needs: give --device cpu.")
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return device


def option(default: str = "auto", *, mps: bool = False) -> argparse.ArgumentParser:
    """The option ``--device``, as a parent of every command that computes. ``mps``: that command also computes on Apple's."""
    parent, usual = argparse.ArgumentParser(add_help=False), "cuda if there is one" if default == "auto" else default
    help = f"where to compute: cpu, cuda, cuda:1{', mps' if mps else ''} or auto (default: {usual})"
    parent.add_argument("--device", metavar="DEVICE", default=default, help=help)
    return parent


def layout(device: torch.device, dims: int = 4) -> torch.memory_format:
    """The memory format in which ``device`` convolves float32 fastest: pictures (N, C, H, W), or tensors of another number of ``dims``."""
    return torch.channels_last if device.type == "cpu" and dims == 4 else torch.contiguous_format


def explained_together(device: torch.device) -> int:
    """Pictures that are explained together."""
    return EXPLAINED if device.type == "cpu" else EXPLAINED_ON_A_CARD


def perturbed_together(device: torch.device) -> int:
    """Perturbed pictures that go through a network together: on a processor, few enough for their maps to stay in its cache."""
    return PERTURBED if device.type == "cpu" else PERTURBED_ON_A_CARD


def reading_processes(device: torch.device) -> int:
    """Processes that read pictures ahead: none on a processor, whose cores have enough to do; the cores of one process on a card."""
    if device.type == "cpu":
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_WORKERS, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) - 1))


def synchronise(device: torch.device) -> None:
    """Wait until ``device`` has finished, so that the time that it took can be measured."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """``count`` threads for torch, and afterwards as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
