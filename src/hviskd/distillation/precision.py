"""Keeps a loss out of mixed precision, since Gram matrices and norms lose too much in 16 bits."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Run `function` outside autocast, with its 16-bit tensor arguments converted to float32."""

    @wraps(function)
    def wide(*args: P.args, **kwargs: P.kwargs) -> R:
        with ExitStack() as stack:
            # Whatever the arguments hold, so that tensors inside a Trace are computed on in full as well.
            for device_type in _device_types():
                stack.enter_context(torch.autocast(device_type, enabled=False))
            return function(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})  # type: ignore[arg-type]

    return wide


def _device_types() -> tuple[str, ...]:
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return ("cpu",) if accelerator is None else ("cpu", accelerator.type)


def _widen(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
