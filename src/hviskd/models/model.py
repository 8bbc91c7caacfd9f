"""Loading, saving and running a Model; training writes them, everything after training reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hviskd.errors import DataError, ModelError, RecipeError, first_problem
from hviskd.models.card import ModelCard
from hviskd.models.device import pick_device
from hviskd.models.input_step import InputStep
from hviskd.networks import Network, create_network
from hviskd.storage import atomic_folder, file_digest, read_json, write_json

WEIGHTS, CARD = "weights.safetensors", "model.json"
CHOSEN, LAST = "model", "model-last"  # the two Models inside a finished Run


@dataclass(frozen=True)
class Model:
    """A trained network with its card.

    Attributes:
        network: The network, in evaluation mode; `predict` moves it to the device it runs on.
        card: What it is, what it reads and where it comes from.
        folder: Where it was loaded from.
    """

    network: Network
    card: ModelCard
    folder: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights."""
        return self.card.weights_sha256

    @property
    def parameters(self) -> int:
        """Number of learned numbers in the network."""
        return sum(weight.numel() for weight in self.network.parameters())

    def predict(self, tiles: NDArray[np.uint8], *, batch_size: int = 128, device: str = "auto") -> NDArray[np.float32]:
        """Give class probabilities (N, K) for uint8 RGB tiles (N, tile_px, tile_px, 3).

        Raises:
            ModelError: The tiles do not have the size or type this model reads.
        """
        expected = (self.card.tile_px, self.card.tile_px, 3)
        if tiles.ndim != 4 or tiles.shape[1:] != expected or tiles.dtype != np.uint8:
            raise ModelError(
                f"{self.card.name}: reads uint8 tiles of shape (N, {', '.join(map(str, expected))}), "
                f"not {tiles.dtype} {tiles.shape}"
            )
        where = pick_device(device)
        network = self.network.to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        step = InputStep(self.card.normalisation).to(where)
        probabilities = np.empty((len(tiles), len(self.card.classes)), np.float32)
        with torch.inference_mode():
            for start in range(0, len(tiles), batch_size):
                batch = torch.from_numpy(np.array(tiles[start : start + batch_size])).to(
                    where
                )  # a memory map is read here
                logits = network(step(batch)).float()
                probabilities[start : start + len(batch)] = torch.softmax(logits, dim=1).cpu().numpy()
        return probabilities


def save_model(network: Network, card: ModelCard, folder: Path, *, overwrite: bool = False) -> Model:
    """Write a Model folder in one step and give the Model."""
    with atomic_folder(folder, overwrite=overwrite) as partial:
        write_weights(network.state_dict(), partial / WEIGHTS)
        card = card.model_copy(update={"weights_sha256": file_digest(partial / WEIGHTS)})
        write_json(partial / CARD, card.model_dump(mode="json"))
    return load_model(folder)


def write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors; a full disk is an OSError, as for every other file."""
    path.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in weights.items()}))


def load_model(folder: str | Path) -> Model:
    """Load a Model folder, or the chosen Model of a finished Run, without running any code it holds.

    Raises:
        ModelError: Something is missing, damaged, changed since it was written, or of another format.
    """
    folder = resolve_models(folder)[0]
    card = _read_card(folder / CARD)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ModelError(f"{weights}: missing; copy the whole model folder, not only {CARD}")
    content = weights.read_bytes()
    if sha256(content).hexdigest() != card.weights_sha256:
        raise ModelError(f"{weights}: does not match the fingerprint in {CARD}; it is damaged or was exchanged")
    try:
        network = create_network(card.network.name, len(card.classes), card.network.head)
        network.load_state_dict(load(content))
    except (RecipeError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{folder}: weights and card do not make a network ({reason})") from error
    return Model(network.eval(), card, folder)


def resolve_models(path: str | Path) -> list[Path]:
    """Give the Model folders a path stands for: itself, or a finished Run's chosen and last Model.

    Raises:
        ModelError: There is no finished Model.
    """
    path = Path(path)
    if (path / CARD).is_file():
        return [path]
    if (path / CHOSEN / CARD).is_file() and (path / LAST / CARD).is_file():
        return [path / CHOSEN, path / LAST]
    if (path / "run.json").is_file():
        raise ModelError(f"{path}: this run is not finished; finish it with --resume")
    raise ModelError(f"{path}: no model here; give a folder that holds {CARD}, or a finished run")


def _read_card(path: Path) -> ModelCard:
    try:
        content = read_json(path)
        if isinstance(content, dict) and content.get("format_version") != 1:
            raise ModelError(f"{path}: format {content.get('format_version')!r} is not known to this version of hviskd")
        return ModelCard.model_validate(content)
    except DataError as error:
        raise ModelError(str(error)) from error
    except ValidationError as error:
        raise ModelError(f"{path}: {first_problem(error)}") from error
