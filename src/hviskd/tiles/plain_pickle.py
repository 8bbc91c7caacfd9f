"""Reads a pickle of plain data with Python's unpickler restricted so that it can call nothing.

An unpickler calls whatever the file names. This one knows three names of numpy's, and gives in their place something
that remembers what numpy was to build. What the file would do is looked through first: a short file can ask for room
for four billion memories, or for the hash of a tuple of 2⁶⁰ parts.
"""

import pickle
import pickletools
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from hviskd.errors import DataError

_MOST_STEPS = 5_000_000  # a file of CIFAR-100's takes some 400,000
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
_NO_TUPLES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "UNICODE", "BINUNICODE", "NONE", "NEWTRUE", "NEWFALSE", "EMPTY_LIST", "EMPTY_DICT", "LIST"),
    *("DICT", "GLOBAL", "REDUCE", *_GETS),
)  # steps that leave something else than a tuple on the stack
_STEPS = frozenset(
    (
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "MARK", "APPEND", "APPENDS", "SETITEM", "SETITEMS"),
        *("BUILD", "PROTO", "STOP", *_NO_TUPLES, *_PUTS),
    )
)  # of protocols 0 to 2, without those that make objects
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy", "dtype"): "dtype",
    ("numpy", "ndarray"): "ndarray",
}


def read_plain_pickle(content: bytes, name: str) -> dict[str, object]:
    """Read the dictionary in a pickle of protocol 0 to 2, as written by Python 2.

    Args:
        content: The whole file.
        name: What messages call it.

    Returns:
        Its entries. Python 2's strings are str, one character a byte; arrays of bytes are uint8 arrays.

    Raises:
        DataError: The file is damaged, holds anything else, or would call anything but numpy's making of an array.
    """
    try:
        _look_through(content)
        found = _Unpickler(BytesIO(content), encoding="latin-1").load()
        if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
            raise TypeError("it contains no dictionary with text keys")
        return {key: _array(value) if isinstance(value, _Built) else value for key, value in found.items()}
    except (
        *(ValueError, TypeError, LookupError, OverflowError, MemoryError, AttributeError, EOFError),
        pickle.UnpicklingError,
    ) as error:
        raise DataError(f"{name}: not a pickle of plain data ({error}); use the original file") from error


def _look_through(content: bytes) -> None:
    """Reject, before anything runs, a file with more than plain data or with excessive size or steps."""
    perhaps_tuples: set[object] = set()
    before = ""
    for count, (operation, argument, _) in enumerate(pickletools.genops(BytesIO(content))):
        step = operation.name
        if step not in _STEPS:
            raise ValueError(f"it would do {step}")
        if count == _MOST_STEPS:
            raise ValueError(f"it has over {_MOST_STEPS} steps")
        if step == "GLOBAL" and tuple(str(argument).split(" ")) not in _NAMES:
            raise ValueError(f"it would use {argument}")
        if step in _GETS and argument in perhaps_tuples:
            raise ValueError("it would use a tuple twice")
        if step not in _PUTS:
            before = step
        elif not isinstance(argument, int) or argument > _MOST_STEPS:
            raise ValueError(f"it would remember {argument} things")
        elif before not in _NO_TUPLES:
            perhaps_tuples.add(argument)


class _Built:
    """What numpy would build, the arguments it would be given, and the state that is then set."""

    def __init__(self, kind: str, arguments: tuple[object, ...]) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Maker:
    """A placeholder for a numpy name."""

    __slots__ = ("_kind",)

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, *arguments: object) -> _Built:
        return _Built(self._kind, arguments)


class _Unpickler(pickle.Unpickler):
    """Python's unpickler, which resolves only numpy names, and those to placeholders."""

    def find_class(self, module: str, name: str) -> _Maker:
        return _Maker(_NAMES[module, name])


def _array(built: _Built) -> NDArray[np.uint8]:
    """Make the array of bytes that numpy would have made."""
    if built.kind != "array" or not isinstance(built.state, tuple) or len(built.state) != 5:
        raise ValueError("it contains an array without content")
    _, shape, dtype, by_columns, raw = built.state
    if not isinstance(dtype, _Built) or dtype.kind != "dtype":
        raise ValueError("it contains an array of an unknown type")
    if dtype.arguments[:1] != ("u1",) or not isinstance(raw, str) or not isinstance(shape, tuple):
        raise ValueError("it contains an array that is not of bytes")
    flat = np.frombuffer(raw.encode("latin-1"), np.uint8)
    return flat.reshape(shape, order="F" if by_columns else "C")
