"""Reads a pickle of plain data without running it; importing CIFAR uses it.

Python's own unpickler calls whatever the file names. Here the file's operations are only walked through, and only
those are known that build numbers, strings, lists, dictionaries and arrays of bytes: nothing is imported or called.
"""

import pickletools
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError

_LITERALS = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE"),
    )
)
_EMPTY = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ARRAY, _NDARRAY, _DTYPE = "numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"


@dataclass(eq=False)
class _Built:
    """Stands for what a pickle would have numpy build: who is called, with what, and the state that is then set."""

    maker: object
    arguments: object
    state: object = None


def read_plain_pickle(content: bytes, name: str) -> dict[str, object]:
    """Read the dictionary that a pickle of protocol 0 to 2 holds, as Python 2 wrote them.

    Args:
        content: The whole file.
        name: What messages call it.

    Returns:
        Its entries. Python 2's strings are str, one character a byte; arrays of bytes are uint8 arrays.

    Raises:
        DataError: The file is damaged, holds anything else, or would call anything but numpy's making of an array.
    """
    try:
        found = _walk(content)
        if not isinstance(found, dict):
            raise TypeError("it holds no dictionary")  # noqa: TRY301
        return {key: _array(value) if isinstance(value, _Built) else value for key, value in found.items()}
    except (ValueError, TypeError, LookupError, OverflowError, MemoryError) as error:
        raise DataError(f"{name}: not a pickle of plain data ({error}); take the original file") from error


def _walk(content: bytes) -> object:
    """Do the file's operations on a stack, and give what is left on it."""
    stack: list[object] = []
    marks: list[int] = []
    memo: dict[object, object] = {}

    def since_mark() -> list[object]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for operation, argument, _ in pickletools.genops(BytesIO(content)):
        match operation.name:
            case literal if literal in _LITERALS:
                stack.append(argument)
            case empty if empty in _EMPTY:
                stack.append(_EMPTY[empty]())
            case constant if constant in _CONSTANTS:
                stack.append(_CONSTANTS[constant])
            case "MARK":
                marks.append(len(stack))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "LIST":
                stack.append(since_mark())
            case "APPEND":
                _extend(stack[-2], [stack.pop()])
            case "APPENDS":
                items = since_mark()
                _extend(stack[-1], items)
            case "DICT":
                stack.append(_updated({}, since_mark()))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _updated(stack[-1], [key, value])
            case "SETITEMS":
                items = since_mark()
                _updated(stack[-1], items)
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as sized:
                count = int(sized[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "GLOBAL":
                if argument not in (_ARRAY, _NDARRAY, _DTYPE):
                    raise ValueError(f"it would use {argument}")
                stack.append(argument)
            case "REDUCE":
                arguments, maker = stack.pop(), stack.pop()
                stack.append(_Built(maker, arguments))
            case "BUILD":
                state = stack.pop()
                if not isinstance(stack[-1], _Built):
                    raise TypeError("it would set the state of something else than an array")
                stack[-1].state = state
            case "PROTO" | "STOP":
                pass
            case unknown:
                raise ValueError(f"it would do {unknown}")
    return stack.pop()


def _extend(target: object, items: Iterable[object]) -> None:
    if not isinstance(target, list):
        raise TypeError("it would append to something else than a list")
    target.extend(items)


def _updated(target: object, items: list[object]) -> dict[object, object]:
    """Set keys and values, which take turns in `items`; the hash of anything but text could be endless work."""
    if not isinstance(target, dict) or not all(isinstance(key, str) for key in items[::2]):
        raise TypeError("it would set what is no entry of a dictionary of texts")
    target.update(zip(items[::2], items[1::2], strict=True))
    return target


def _array(built: _Built) -> NDArray[np.uint8]:
    """Make the array of bytes that numpy would have been asked for."""
    state = built.state
    if built.maker != _ARRAY or not isinstance(state, tuple) or len(state) != 5:
        raise ValueError("it holds an array without content")
    _, shape, dtype, by_columns, raw = state
    if not (isinstance(dtype, _Built) and dtype.maker == _DTYPE and isinstance(dtype.arguments, tuple)):
        raise ValueError("it holds an array of no known kind")
    if dtype.arguments[:1] != ("u1",) or not isinstance(raw, str) or not isinstance(shape, tuple):
        raise ValueError("it holds an array of something else than bytes")
    flat = np.frombuffer(raw.encode("latin-1"), np.uint8)
    return flat.reshape(shape, order="F" if by_columns else "C")
