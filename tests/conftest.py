"""Small real things that several rooms' tests use: a TileSet, a trained teacher."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager

from building.operators import declare_operators_of_torchvision
from hviskd.processor import collect_garbage_rarely, let_threads_sleep

let_threads_sleep()  # both as the command line does
collect_garbage_rarely()
# Test processes share the cores, and networks as small as theirs take a third longer on two.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

settings.register_profile("busy", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("busy")

CLASSES = ("pale", "middle", "dark")
STRIDE = {"stem_stride": 2}  # arguments of a residual network: a quarter of the arithmetic
_SLOW_TO_MAKE = {"look", "turn", "teacher_run"}  # a page, a training


def pytest_sessionstart(session):
    """Prepare a process that runs tests; the one that deals them out to others needs neither torch nor the files."""
    if session.config.pluginmanager.hasplugin("dsession"):
        return
    os.fsync = lambda _: None  # what tests write may be lost with the machine: nobody need wait for the disk
    declare_operators_of_torchvision()
    _turn_every_answer_into_json()
    _build_each_command_line_once()


def _build_each_command_line_once():
    """Let `CliRunner` keep the commands of an app: Typer builds them anew for each call, all verbs in 30 ms."""
    from typer import testing

    testing._get_command = functools.cache(testing._get_command)


def _turn_every_answer_into_json():
    """Let whatever a verb answers in any test show that it can be printed as JSON."""
    from hviskd.cli.answers import Answer, json_text

    made = Answer.__init__

    def checked(self, content, *status):
        json_text(content)
        made(self, content, *status)

    Answer.__init__ = checked


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Files with slow tests come first, lest one begin when the other process has nothing left to do."""
    for item in items:
        if _SLOW_TO_MAKE & set(item.fixturenames):
            item.add_marker("slow")
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def write_tiles(
    folder, *, patients=10, tiles_per_class=8, tile_px=32, seed=0, splits=True, classes=CLASSES, empty=(), step=60
):
    """Tiles whose brightness tells the class, by `step`, drawn per patient; the last patients are val and test."""
    from hviskd.tiles import TileSet, TileSetWriter, TileSource, new_card
    from hviskd.tiles.card import Origin

    rng = np.random.default_rng(seed)
    record = {"by": "patient"} if splits else None
    card = new_card(classes, tile_px=tile_px, mpp=1.0, origin=Origin(verb="test", licence="CC0"))
    with TileSetWriter(folder, card, split_record=record) as writer:
        for patient in range(patients):
            split = "train" if patient < patients - 4 else "val" if patient < patients - 2 else "test"
            for label, name in enumerate(classes):
                for number in range(0 if name in empty else tiles_per_class):
                    noise = rng.normal(220 - step * label, 40, (tile_px, tile_px, 3))
                    writer.add(
                        noise.clip(0, 255).astype(np.uint8),
                        file=f"P{patient}-{name}-{number}",
                        class_name=name,
                        source=TileSource(patient=f"P{patient}"),
                        split=split if splits else None,
                    )
    return TileSet.open(folder)


@pytest.fixture(scope="session")
def tileset(tmp_path_factory):
    """Seven patients, three classes, 168 tiles of 32 px: 72 to train, 48 each to validate and to test."""
    return write_tiles(tmp_path_factory.mktemp("data") / "tiles", patients=7)


@pytest.fixture(scope="session")
def teacher_run(tileset, tmp_path_factory):
    """A resnet8 that learned for two epochs."""
    from hviskd.training import load_recipe, train

    changes = {"network": "resnet8", "epochs": 2, "batch_size": 8, "learning_rate": 0.01}
    folder = tmp_path_factory.mktemp("runs") / "teacher"
    with curves_undrawn():
        return train(load_recipe(None, changes, role="teacher"), tileset, folder)


@contextmanager
def figures_unpainted() -> Iterator[None]:
    """Let figures be made, but neither laid out nor painted, where no test looks at them; their files are there."""
    from matplotlib.figure import Figure

    def blank(_figure, file, **_):
        Image.new("RGB", (8, 8)).save(file, "png")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "get_layout_engine", lambda _: None)
        patch.setattr(Figure, "savefig", blank)
        yield


@pytest.fixture
def unpainted():
    """As `figures_unpainted`, in one test."""
    with figures_unpainted():
        yield


@contextmanager
def curves_undrawn() -> Iterator[None]:
    """Let trainings draw no curves: for these, one epoch of the smallest network takes less than its picture."""
    with pytest.MonkeyPatch.context() as patch:
        for drawing in ("draw_curves", "draw_probes"):
            patch.setattr(f"hviskd.training.fit.{drawing}", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def without_curves():
    """As `curves_undrawn`, in one module."""
    with curves_undrawn():
        yield
