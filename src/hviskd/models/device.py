"""Selects the compute device."""

import torch

from hviskd.errors import HviskdError


def pick_device(wanted: str) -> torch.device:
    """Return the device of a name: `auto` is CUDA if available, else Apple's GPU, else the CPU.

    Raises:
        HviskdError: The device is not known, or not there.
    """
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
