"""The folder that one training writes: recipe, log, checkpoint, pictures and, at the end, two Models.

run.json          state (running, finished), data, teacher, machine, versions
recipe.yaml       the complete resolved recipe
log.csv           one row an epoch
curves.png        the log as pictures
checkpoint.ckpt   the last finished epoch; gone when the run is finished
chosen.safetensors  the weights of the chosen epoch so far; gone when the run is finished
model/            the Model of the epoch chosen on the validation split
model-last/       the Model of the last epoch
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from hviskd.errors import TrainingError
from hviskd.models import Model, load_model
from hviskd.models.model import CHOSEN, LAST
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

    @property
    def chosen_file(self) -> Path:
        """The student's weights at the epoch chosen so far."""
        return self.folder / "chosen.safetensors"

    @property
    def card(self) -> dict[str, Any]:
        """The content of `run.json`; empty where there is none."""
        path = self.folder / "run.json"
        return dict(read_json(path)) if path.is_file() else {}

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
            if self.folder.is_dir() and any(entry.name[0] != "." for entry in self.folder.iterdir()):
                raise TrainingError(f"{self.folder}: holds files but no run; choose another folder")
            write_text(self.recipe_file, recipe.to_yaml())
            self._write_card({"state": "running", "started": _now(), **facts})
            return
        if not resume:
            state = "a finished run" if self.finished else "an unfinished run; --resume goes on with it"
            raise TrainingError(f"{self.folder}: holds {state}; choose another folder to start anew")
        changed = [name for name, value in facts["depends_on"].items() if card["depends_on"].get(name) != value]
        if self.recipe != recipe:
            changed.append("recipe")
        if changed:
            raise TrainingError(f"{self.folder}: cannot resume, since the {' and '.join(changed)} changed")

    def write_log(self, history: list[dict[str, float]]) -> None:
        """Write the whole log in one step, so that a resumed run never repeats a row."""
        with atomic_file(self.log_file) as partial:
            pd.DataFrame(history).to_csv(partial, index=False, float_format="%.8g")

    def finish(self, facts: dict[str, Any]) -> None:
        """Mark the run as finished, as its last written file, and drop what only a resumed one needs."""
        self._write_card({**self.card, "state": "finished", "finished": _now(), **facts})
        self.checkpoint_file.unlink(missing_ok=True)
        self.chosen_file.unlink(missing_ok=True)

    def _write_card(self, card: dict[str, Any]) -> None:
        write_json(self.folder / "run.json", card)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
