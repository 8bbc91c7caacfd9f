"""Finds a Model folder and reads its card, without the weights and without torch."""

from pathlib import Path

from pydantic import ValidationError

from hviskd.errors import DataError, ModelError, first_problem
from hviskd.models.card import ModelCard
from hviskd.storage import read_json

WEIGHTS, CARD = "weights.safetensors", "model.json"
INT8 = "int8.onnx"
CHOSEN, LAST = "model", "model-last"  # the two Models inside a finished Run


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
        raise ModelError(f"{path}: this run is not finished; finish it with `resume=True`")
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
