"""Finds a Model folder, reads its card and checks that its files belong together, all without torch."""

import json
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from hviskd.errors import DataError, ModelError, first_problem
from hviskd.models.card import ModelCard
from hviskd.storage import read_json

WEIGHTS, CARD = "weights.safetensors", "model.json"
INT8 = "int8.onnx"
MEANING = "meaning"  # in the header of the weights: the card's, for names could be swapped there unseen
_OF_LAST = "-last"
CHOSEN, LAST = "model", f"model{_OF_LAST}"  # the two Models inside a finished Run


def name_of_last(name: str) -> str:
    """Return what the Model of a run's last epoch is called, where that of the selected one is called `name`."""
    return f"{name}{_OF_LAST}"


def is_last(name: str, names: Collection[str]) -> bool:
    """Return whether a Model is that of a run's last epoch, and that of the selected one is among these names, too."""
    return name.endswith(_OF_LAST) and name.removesuffix(_OF_LAST) in names


def resolve_models(path: str | Path) -> list[Path]:
    """Return the Model folders of a path: itself, or a finished Run's selected and last Model.

    Raises:
        ModelError: There is no finished Model.
    """
    path = Path(path)
    if (path / CARD).is_file():
        return [path]
    if (path / CHOSEN / CARD).is_file() and (path / LAST / CARD).is_file():
        return [path / CHOSEN, path / LAST]
    if (path / "run.json").is_file():
        raise ModelError(f"{path}: this run is not finished; resume its training first")
    raise ModelError(f"{path}: not a Model; give a folder with {CARD}, or a finished run")


def read_model_card(folder: Path | str) -> ModelCard:
    """Read the card of a Model folder.

    Raises:
        ModelError: It is missing, damaged, or of a format that this version does not know.
    """
    path = Path(folder) / CARD
    try:
        content = read_json(path)
        if isinstance(content, dict) and (version := content.get("format_version")) != 1:
            raise ModelError(f"{path}: format {version!r} is not supported by this version of hviskd")
        return ModelCard.model_validate(content)
    except DataError as error:
        raise ModelError(str(error)) from error
    except ValidationError as error:
        raise ModelError(f"{path}: {first_problem(error)}") from error


def read_part(path: Path, digest: str) -> bytes:
    """Read a file of a Model and check that it is the one described by the card.

    Raises:
        ModelError: It is missing, damaged or exchanged.
    """
    if not path.is_file():
        raise ModelError(f"{path}: missing; copy the whole Model folder, not only {CARD}")
    content = path.read_bytes()
    if sha256(content).hexdigest() != digest:
        raise ModelError(f"{path}: does not match the fingerprint in {CARD}; it is damaged or was replaced")
    return content


def read_int8(folder: Path, card: ModelCard) -> bytes:
    """Read the int8 variant of a Model, an ONNX file from uint8 tiles to probabilities.

    Raises:
        ModelError: There is none, or the file is missing, damaged or exchanged.
    """
    if card.int8 is None:
        raise ModelError(f"{folder}: has no int8 variant; make one with `quantize()`")
    return read_part(folder / INT8, card.int8.sha256)


def require_meaning(folder: Path, card: ModelCard, weights: bytes) -> None:
    """Reject a card that gives the weights, the content of their file, another meaning than they were saved with.

    Raises:
        ModelError: It does, or the weights do not say.
    """
    try:
        length = int.from_bytes(weights[:8], "little")  # of the header of safetensors, which is JSON
        meaning = json.loads(weights[8 : 8 + length]).get("__metadata__", {}).get(MEANING)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{folder}: weights and card do not match ({WEIGHTS} has no header)") from error
    if meaning is None:
        raise ModelError(f"{folder}: was saved by an older hviskd without the fingerprint of its card; retrain it")
    if meaning != card.meaning:
        raise ModelError(
            f"{folder / CARD}: was changed: its network, classes, tile size, µm/px, normalisation, stain or ICC "
            "differ from those saved with the weights; restore the file"
        )


def require_whole(folder: Path, card: ModelCard) -> None:
    """Check the files of a Model without loading its network.

    Raises:
        ModelError: Something is missing, damaged or changed since it was written.
    """
    require_meaning(folder, card, read_part(folder / WEIGHTS, card.weights_sha256))
    if card.int8 is not None:
        read_int8(folder, card)
