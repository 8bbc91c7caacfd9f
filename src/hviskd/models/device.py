"""Selects the compute device, without loading torch where only the CPU can be meant."""

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from hviskd.errors import HviskdError

if TYPE_CHECKING:
    import torch

_MOST_ON_CPU, _PX_ON_CPU = 16, 360_000  # 16 tiles of 150 px

# What the drivers of GPUs that torch knows put there: NVIDIA's, that of its embedded boards, AMD's, and WSL's.
_LINUX_GPUS = ("nvidiactl", "nvhost-gpu", "nvmap", "kfd", "dxg")


def pick_device(wanted: str) -> "torch.device":
    """Return the device of a name: `auto` is CUDA if available, else Apple's GPU, else the CPU.

    Raises:
        HviskdError: The device is not known, or not there.
    """
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        known = ", ".join(["auto", "cpu", *(name for name, there in here.items() if there)])
        raise HviskdError(f"device {wanted!r} is not available on this computer; choose one of {known}") from error
    return device


def tiles_on_cpu(tile_px: int) -> int:
    """Return the number of tiles per batch for torch on a CPU; larger batches are slower and take more memory."""
    return min(_MOST_ON_CPU, max(1, _PX_ON_CPU // tile_px**2))


def device_name(wanted: str) -> str:
    """Return the name of what `pick_device` gives, such as `cpu` or `cuda:1`; torch is asked only if it can matter."""
    if wanted == "cpu" or (wanted == "auto" and not may_have_gpu()):
        return "cpu"
    return str(pick_device(wanted))


def may_have_gpu() -> bool:
    """Return whether this computer may have a GPU that torch can use."""
    if platform.system() == "Linux":
        return any(Path("/dev", name).exists() for name in _LINUX_GPUS)
    return platform.system() != "Darwin" or platform.machine() == "arm64"
