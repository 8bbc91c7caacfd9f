"""What is kept of a Model in the user's cache: its network as ONNX, torch's answers, and the checks an engine passed.

A name there encodes everything that the content depends on, so that no file is taken for another Model's or version's.
Nothing here imports torch, which takes longer than mapping a small slide.
"""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hviskd.arrays import Floats32
from hviskd.errors import DataError
from hviskd.file_names import safe_name
from hviskd.models.card import ModelCard
from hviskd.models.checking import check_tiles
from hviskd.storage import atomic_file, cache_folder, read_json, write_json
from hviskd.version import __version__

OPSET = 18  # the oldest that torch's exporter writes without translating
_LAYOUT = 1  # raised when what is converted changes, so that no old file is taken for a new one


def kept_onnx(card: ModelCard) -> bytes | None:
    """Return the converted network of a Model; None if there is none, or it is incomplete or changed."""
    file = _file(card, ".onnx")
    try:
        note = read_json(file.with_suffix(".json"))
        content = file.read_bytes()
    except (DataError, OSError):
        return None
    made = isinstance(note, dict) and note.get("made_from") == _source(card)
    return content if made and note.get("sha256") == hashlib.sha256(content).hexdigest() else None


def keep_onnx(card: ModelCard, content: bytes) -> None:
    """Write the converted network, then the note without which it is not read.

    Raises:
        OSError: It cannot be written.
    """
    file = _file(card, ".onnx")
    with atomic_file(file) as partial:
        partial.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    write_json(file.with_suffix(".json"), {"sha256": digest, "made_from": _source(card)})


def cache_of_networks() -> Path:
    """Return the folder of converted networks."""
    return cache_folder() / "onnx"


class CheckRecord:
    """Torch's answers on a Model's check tiles, and what each engine was found to be on this computer.

    The file stands beside the converted network. What is damaged or cannot be written is found out again each time.
    """

    def __init__(self, card: ModelCard) -> None:
        self._file = _file(card, ".checks.json")
        self._source = _source(card)
        self._card = card

    def answers(self, find: Callable[[], Floats32]) -> Floats32:
        """Return torch's probabilities on the check tiles, float32 (tiles, K); `find` computes them, once."""
        try:
            stored = np.array(self._read().get("answers"), np.float32)
        except (ValueError, TypeError, OverflowError):  # ragged, or no numbers
            stored = np.empty(0, np.float32)
        expected = len(check_tiles(self._card)), len(self._card.classes)
        if stored.shape == expected and np.isfinite(stored).all():
            return stored
        found = find()
        self._write("answers", found.tolist())
        return found

    def known(self, kind: str, what: str) -> Any:
        """Return what was recorded of an engine, such as its `largest_difference`; None if nothing was."""
        return self._findings(kind).get(what)

    def keep(self, kind: str, what: str, value: float | str) -> None:
        """Record a finding of an engine; `what` names all that it depends on beside the Model."""
        self._write(kind, self._findings(kind) | {what: value})

    def _findings(self, kind: str) -> dict[str, Any]:
        found = self._read().get(kind)
        return found if isinstance(found, dict) else {}

    def _read(self) -> dict[str, Any]:
        try:
            content = read_json(self._file)
        except (DataError, OSError):
            return {}
        return content if isinstance(content, dict) and content.get("made_from") == self._source else {}

    def _write(self, key: str, value: object) -> None:
        content = self._read() | {"made_from": self._source, key: value}
        try:
            write_json(self._file, content)
        except (OSError, ValueError):  # nowhere to write to, or answers that are no numbers
            return


def _file(card: ModelCard, suffix: str) -> Path:
    """Return the path of something kept of a Model, whose name encodes everything that it depends on."""
    key = hashlib.sha256(json.dumps(_source(card), sort_keys=True).encode()).hexdigest()[:32]
    return cache_of_networks() / f"{safe_name(card.network.name)}-{key}{suffix}"


def _source(card: ModelCard) -> dict[str, object]:
    """Return everything that the converted network depends on, as JSON values."""
    return {
        "layout": _LAYOUT,
        "opset": OPSET,
        "weights": card.weights_sha256,
        "network": card.network.model_dump(mode="json"),
        "classes": len(card.classes),
        "tile_px": card.tile_px,
        "normalisation": card.normalisation.model_dump(mode="json"),
        "versions": {"hviskd": __version__} | {name: version(name) for name in ("torch", "onnx", "onnxscript")},
    }
