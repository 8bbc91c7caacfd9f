"""Which epochs a training saves, and that nothing else depends on it."""

from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from hviskd.progress import silent
from hviskd.training import keeping, load_recipe, train
from tests.conftest import STRIDE

pytestmark = pytest.mark.usefixtures("without_curves")
RECIPE = {"network": "resnet8", "network_arguments": STRIDE, "epochs": 5, "batch_size": 36, "learning_rate": 0.02}


class Watched(keeping.Keeper):
    """Notes the epochs that are saved, and what is on disk then; each epoch takes `seconds`."""

    saved: list
    seconds: float
    now = 0.0

    def epoch_ended(self):
        type(self).now += self.seconds
        super().epoch_ended()

    def _save(self):
        super()._save()
        chosen = int(self._learner.chosen["epoch"])
        assert [path.name for path in self._run.folder.glob("chosen-*")] == [self._run.chosen_file(chosen).name]
        assert len(self._run.log) == self._learner.epoch
        self.saved.append(self._learner.epoch)


def trained(tileset, folder, monkeypatch, *, seconds):
    """Train, and return the epochs saved and the weights of both Models."""
    watched = type("Watched", (Watched,), {"saved": [], "seconds": seconds})
    monkeypatch.setattr(keeping, "time", SimpleNamespace(monotonic=lambda: watched.now))
    monkeypatch.setattr("hviskd.training.fit.Keeper", watched)
    run = train(load_recipe(None, RECIPE), tileset, folder, progress=silent)
    return watched.saved, [load_file(run.folder / of / "weights.safetensors") for of in ("model", "model-last")]


@pytest.mark.slow
def test_the_first_epoch_the_last_and_one_every_two_seconds_are_saved(tileset, tmp_path, monkeypatch):
    some, ours = trained(tileset, tmp_path / "short", monkeypatch, seconds=0.8)
    every, theirs = trained(tileset, tmp_path / "long", monkeypatch, seconds=2)
    assert (some, every) == ([1, 4, 5], [1, 2, 3, 4, 5])
    for model, other in zip(ours, theirs, strict=True):
        assert all(value.equal(other[name]) for name, value in model.items())
