"""Loads, saves and runs a Model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hviskd.errors import ModelError, RecipeError
from hviskd.models.card import ModelCard
from hviskd.models.device import pick_device, tiles_on_cpu
from hviskd.models.folder import CARD, INT8, MEANING, WEIGHTS, read_int8, read_model_card, read_part, require_meaning
from hviskd.models.input_step import InputStep
from hviskd.networks import Network
from hviskd.storage import atomic_folder, file_digest, write_json

_TILES_ON_GPU = 128


@dataclass(frozen=True)
class Model:
    """A trained network with its card.

    Attributes:
        network: The network, in evaluation mode; `predict` moves it to the device.
        card: Its input, classes and provenance.
        folder: The folder it was loaded from.
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
        """Number of parameters of the network."""
        return sum(weight.numel() for weight in self.network.parameters())

    def hollow(self) -> "Model":
        """Return the Model with a network that has shapes but no content, for whoever needs only what its card says."""
        return replace(self, network=self.network.hollow())

    def at_low_power(self) -> "Model":
        """Return the Model with the same network, which `predict` shows tiles at low power, of half the px."""
        return replace(self, card=self.card.at_low_power())

    def int8_onnx(self) -> bytes:
        """Return the int8 variant, an ONNX file from uint8 tiles to probabilities.

        Raises:
            ModelError: There is none, or the file is missing, damaged or exchanged.
        """
        return read_int8(self.folder, self.card)

    def __repr__(self) -> str:
        card = self.card
        return f"Model({str(self.folder)!r}: {card.network.name}, {card.tile_px} px tiles, {len(card.classes)} classes)"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        card = self.card
        reads = f"{card.tile_px} px tiles at {card.mpp:g} µm/px" if card.mpp else f"{card.tile_px} px tiles"
        taught = f"distilled from {card.teacher.name}" if card.teacher else ""
        variants = (
            "calibrated" if card.calibration else "",
            "with an int8 variant" if card.int8 else "",
            "calibrated for coarse to fine" if card.coarse_to_fine else "",
        )
        network = f"{card.network.name} with {self.parameters:,} parameters"
        measured = [f"{name} {value:.3f}" for name, value in card.metrics.items() if value is not None]
        legend = [(show.swatch(colour), name) for name, colour in zip(card.classes, card.colours, strict=True)]
        return (
            show.paragraph(f"{card.name}: {network}", reads, taught, *variants)
            + show.paragraph(f"epoch {card.epoch}, {card.selection}", *measured)
            + show.table(("", "class"), legend, html=(0,))
        )

    def predict(
        self, tiles: NDArray[np.uint8], *, batch_size: int | None = None, device: str = "auto"
    ) -> NDArray[np.float32]:
        """Return class probabilities (N, K) for uint8 RGB tiles (N, tile_px, tile_px, 3), by torch in float32.

        This is what every engine is held against; `hviskd.models.engines` is faster.

        Args:
            tiles: The tiles, or a memory map of them.
            batch_size: Tiles that are computed at once; suited to the device if None.
            device: As for `pick_device`.

        Raises:
            ModelError: The tiles do not have the size or type this model reads.
        """
        expected = (self.card.tile_px, self.card.tile_px, 3)
        if tiles.ndim != 4 or tiles.shape[1:] != expected or tiles.dtype != np.uint8:
            raise ModelError(
                f"{self.card.name}: needs uint8 tiles of shape (N, {', '.join(map(str, expected))}), "
                f"not {tiles.dtype} {tiles.shape}"
            )
        where = pick_device(device)
        network = self.network.to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        step = InputStep(self.card.normalisation).to(where)
        probabilities = np.empty((len(tiles), len(self.card.classes)), np.float32)
        batch_size = batch_size or (tiles_on_cpu(self.card.tile_px) if where.type == "cpu" else _TILES_ON_GPU)
        with torch.inference_mode():
            for start in range(0, len(tiles), batch_size):
                pixels = np.array(tiles[start : start + batch_size])  # a memory map is read here
                batch = torch.from_numpy(pixels).to(where)
                logits = network(step(batch)).float()
                probabilities[start : start + len(batch)] = torch.softmax(logits, dim=1).cpu().numpy()
        return probabilities


def save_model(
    network: Network, card: ModelCard, folder: Path | str, *, int8_onnx: bytes | None = None, overwrite: bool = False
) -> Model:
    """Write a Model folder in one step and return the Model; `int8_onnx` is the file described by the card's `int8`."""
    folder = Path(folder)
    with atomic_folder(folder, overwrite=overwrite, replaces=(CARD, "model")) as partial:
        write_weights(network.state_dict(), partial / WEIGHTS, {MEANING: card.meaning})
        if int8_onnx is not None:
            (partial / INT8).write_bytes(int8_onnx)
        card = card.model_copy(update={"weights_sha256": file_digest(partial / WEIGHTS)})
        write_json(partial / CARD, card.model_dump(mode="json"))
    return read_model(folder)


def write_weights(weights: Mapping[str, Tensor], path: Path, notes: dict[str, str] | None = None) -> None:
    """Write tensors as safetensors, with notes in the header; a full disk raises OSError, as for other files."""
    path.write_bytes(save({name: value.detach().cpu().contiguous() for name, value in weights.items()}, notes))


def read_model(folder: Path) -> Model:
    """Read a Model folder without running any code it holds; `load_model` also accepts Models and Runs.

    Raises:
        ModelError: Something is missing, damaged, changed since it was written, or of another format.
    """
    card = read_model_card(folder)
    content = read_part(folder / WEIGHTS, card.weights_sha256)
    try:
        weights = load(content)
        network = _empty_network(card, weights)
        network.load_state_dict(weights)
    except (RecipeError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{folder}: weights and card do not match ({reason})") from error
    require_meaning(folder, card, content)
    model = Model(network.eval(), card, folder)
    if card.int8 is not None:
        model.int8_onnx()
    return model


def _empty_network(card: ModelCard, weights: Mapping[str, Tensor]) -> Network:
    """Build the network of a card; one whose size the card alone decides, only after its weights prove to be as large.

    Raises:
        RecipeError: There is no such network, or its tensors are not those of the file.
    """
    choice, classes = card.network, len(card.classes)
    if choice.arguments:
        with torch.device("meta"):
            expected = choice.build(classes, card.tile_px).state_dict()
        if {name: value.shape for name, value in expected.items()} != {n: v.shape for n, v in weights.items()}:
            raise RecipeError(f"network {choice.name!r} with {choice.arguments} has other tensors")
    return choice.build(classes, card.tile_px)
