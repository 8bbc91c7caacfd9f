"""Real tile sets of a few colours, and a classifier by nearest mean colour that is a Model in all but the network."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from hviskd.models import ModelCard, NetworkChoice
from hviskd.models.card import untrained_card
from hviskd.tiles import TileSet, TileSetWriter, TileSource, new_card
from hviskd.tiles.card import Origin

CLASSES = ("LE", "CT", "necrosis", "CTmvp", "BG")
COLOURS = np.array([[150, 90, 160], [120, 60, 150], [200, 120, 180], [170, 60, 120], [150, 70, 190]])
TILE_PX = 32


def write_tiles(
    folder,
    *,
    patients=12,
    tiles=6,
    classes=CLASSES,
    held=None,
    splits=("test",),
    known=("patient", "slide"),
    mpp=0.5,
    seed=0,
):
    """Write a TileSet: `tiles` a class and patient, each patient stained in its own way, splits in turn.

    `held` maps a class to the patients that have it; `splits` deals patients to splits in turn.
    """
    rng = np.random.default_rng(seed)
    card = new_card(classes, tile_px=TILE_PX, mpp=mpp, origin=Origin(verb="test"))
    with TileSetWriter(folder, card) as writer:
        for patient in range(patients):
            stain = rng.normal(scale=26, size=3)
            for name in classes:
                if patient not in (held or {}).get(name, range(patients)):
                    continue
                for number in range(tiles):
                    colour = COLOURS[CLASSES.index(name)] + stain + rng.normal(scale=26, size=3)
                    pixels = colour + rng.normal(scale=10, size=(TILE_PX, TILE_PX, 3))
                    source = TileSource(
                        patient=f"P{patient}" if "patient" in known else None,
                        slide=f"P{patient}-S{number % 2}" if "slide" in known else None,
                    )
                    writer.add(
                        pixels.clip(0, 255).astype(np.uint8),
                        file=f"P{patient}/{name}_{number}.png",
                        class_name=name,
                        source=source,
                        split=splits[patient % len(splits)],
                    )
    return TileSet.open(folder)


@dataclass(frozen=True)
class ColourModel:
    """Gives each tile to the class whose mean colour is nearest, in the channels it sees."""

    card: ModelCard
    folder: Path
    channels: tuple[int, ...] = (0, 1, 2)
    fingerprint: str = "0" * 64

    def predict(self, tiles, *, batch_size=128, device="auto"):
        means = np.array([COLOURS[CLASSES.index(name)] for name in self.card.classes])[:, self.channels]
        seen = tiles[..., self.channels].mean(axis=(1, 2))
        logits = -((seen[:, None] - means) ** 2).sum(axis=2) / 800
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def colour_model(tileset, *, name="colours", channels=(0, 1, 2), data=None, **changes):
    """Give a model whose card says that it learned from the tile set, but for the changes."""
    card = untrained_card(NetworkChoice(name="resnet8"), tileset.classes, TILE_PX, tileset.mpp)
    learned = {
        "name": tileset.folder.name,
        "fingerprint": tileset.fingerprint,
        "split_fingerprint": tileset.split_fingerprint,
        "train_tiles": 10,
    }
    facts = {"name": name, "data": card.data.model_copy(update=learned | (data or {}))}
    return ColourModel(card.model_copy(update=facts | changes), Path("models") / name, channels)


@pytest.fixture(scope="session")
def tileset(tmp_path_factory):
    """12 patients, 5 classes, 360 tiles, all for testing."""
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles")


@pytest.fixture
def model(tileset):
    return colour_model(tileset)


@pytest.fixture
def half_blind(tileset):
    """A poorer model: it sees green alone."""
    return replace(colour_model(tileset, name="green"), channels=(1,), fingerprint="1" * 64)
