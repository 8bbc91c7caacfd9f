"""The folder that one training writes: recipe, log, checkpoint, pictures and, at the end, two Models.

run.json          state (running, finished), data, teacher, machine, versions
recipe.yaml       the complete resolved recipe
log.csv           one row an epoch
curves.png        the log as pictures
checkpoint.ckpt   the last finished epoch; gone when the run is finished
chosen-7.safetensors  the weights of the chosen epoch so far; gone when the run is finished
model/            the Model of the epoch chosen on the validation split
model-last/       the Model of the last epoch
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from hviskd.errors import TrainingError
from hviskd.models import Model, load_model
from hviskd.models.folder import CHOSEN, LAST
from hviskd.storage import atomic_file, read_json, write_json, write_text
from hviskd.training.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Run:
    """One training's folder; a finished one hands on its Models."""

    folder: Path

    @property
    def recipe_file(self) -> Path:
        """The complete resolved recipe."""
        return self.folder / "recipe.yaml"

    @property
    def log_file(self) -> Path:
        """One row an epoch."""
        return self.folder / "log.csv"

    @property
    def curves_file(self) -> Path:
        """The log as pictures."""
        return self.folder / "curves.png"

    @property
    def checkpoint_file(self) -> Path:
        """All that a resumed training needs, of the last finished epoch."""
        return self.folder / "checkpoint.ckpt"

    def chosen_file(self, epoch: int) -> Path:
        """Give where the student's weights of a chosen epoch stand; the checkpoint says which epoch counts."""
        return self.folder / f"chosen-{epoch}.safetensors"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other training out of the folder; the lock falls with the process, however that ends.

        Raises:
            TrainingError: Another training is at work in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise TrainingError(f"{self.folder}: another training is at work in this folder; wait for it") from error

    @property
    def card(self) -> dict[str, Any]:
        """The content of `run.json`; empty where there is none.

        Raises:
            TrainingError: The file is no card of a run.
        """
        path = self.folder / "run.json"
        if not path.is_file():
            return {}
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("depends_on"), dict):
            raise TrainingError(f"{path}: not the card of a run; choose another folder")
        return content

    @property
    def finished(self) -> bool:
        """Whether the training came to its end and both Models are there."""
        return self.card.get("state") == "finished"

    @property
    def recipe(self) -> Recipe:
        """The recipe this run follows."""
        return load_recipe(self.recipe_file)

    @property
    def log(self) -> pd.DataFrame:
        """The log, one row an epoch."""
        return pd.read_csv(self.log_file)

    def chosen(self) -> Model:
        """Load the Model of the chosen epoch."""
        return load_model(self.folder / CHOSEN)

    def last(self) -> Model:
        """Load the Model of the last epoch."""
        return load_model(self.folder / LAST)

    def begin(self, recipe: Recipe, facts: dict[str, Any], *, resume: bool) -> None:
        """Open the folder for training, new or to be resumed.

        Args:
            recipe: What is to be trained.
            facts: What the result depends on beside the recipe (data, split, teacher); a resumed run must agree.
            resume: Go on with what is there.

        Raises:
            TrainingError: The folder is in use by another training, or resumed with other data, split, teacher or
                recipe.
        """
        card = self.card
        if not card:
            ours = {self.recipe_file.name}  # all that is there of a run killed in its first moment
            if any(entry.name[0] != "." and entry.name not in ours for entry in self.folder.iterdir()):
                raise TrainingError(f"{self.folder}: holds files but no run; choose another folder")
            write_text(self.recipe_file, recipe.to_yaml())
            self._write_card({"state": "running", "started": _now(), **facts})
            return
        if not resume:
            state = "a finished run" if self.finished else "an unfinished run; `resume=True` goes on with it"
            raise TrainingError(f"{self.folder}: holds {state}; choose another folder to start anew")
        changed = [name for name, value in facts["depends_on"].items() if card["depends_on"].get(name) != value]
        kept, wanted = self.recipe.model_dump(mode="json"), recipe.model_dump(mode="json")
        changed += [f"recipe's {key} ({kept[key]}, now {wanted[key]})" for key in wanted if kept[key] != wanted[key]]
        if changed:
            raise TrainingError(f"{self.folder}: cannot resume, since the {' and the '.join(changed)} changed")

    def write_log(self, history: list[dict[str, float]]) -> None:
        """Write the whole log in one step, so that a resumed run never repeats a row."""
        with atomic_file(self.log_file) as partial:
            pd.DataFrame(history).to_csv(partial, index=False, float_format="%.8g")

    def finish(self, facts: dict[str, Any]) -> None:
        """Mark the run as finished, as its last written file, and drop what only a resumed one needs."""
        self._write_card({**self.card, "state": "finished", "finished": _now(), **facts})
        self.tidy()

    def tidy(self) -> None:
        """Drop what only a resumed training needs."""
        self.checkpoint_file.unlink(missing_ok=True)
        self.keep_chosen(None)

    def keep_chosen(self, epoch: int | None) -> None:
        """Drop the chosen weights of every other epoch."""
        for path in self.folder.glob("chosen-*.safetensors"):
            if epoch is None or path != self.chosen_file(epoch):
                path.unlink()

    def _write_card(self, card: dict[str, Any]) -> None:
        write_json(self.folder / "run.json", card)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
