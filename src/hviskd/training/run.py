"""The folder that one training writes: recipe, log, checkpoint, curves and, at the end, two Models.

run.json          state (running, finished), data, teacher, machine, versions
recipe.yaml       the complete resolved recipe
log.csv           one row an epoch; row 0 is the Model that was started from, if there was one
curves.png        the log as pictures
checkpoint.ckpt   the last epoch saved; gone when the run is finished
chosen-7.safetensors  the weights of the chosen epoch so far; gone when the run is finished
model/            the Model of the epoch chosen on the validation split
model-last/       the Model of the last epoch
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from filelock import FileLock, Timeout

from hviskd.errors import TrainingError
from hviskd.models import load_model
from hviskd.models.folder import CHOSEN, LAST
from hviskd.storage import atomic_file, read_json, write_json, write_text

if TYPE_CHECKING:
    from hviskd.models import Model
    from hviskd.training.recipe import Recipe

_NOTEBOOK_PX = 900
_NOTEBOOK_COLUMNS = ("epoch", "learning_rate", "loss_total", "train_top1", "val_top1", "val_balanced_accuracy")


@dataclass(frozen=True, init=False)
class Run:
    """The folder of one training; a finished one has the Models."""

    folder: Path

    def __init__(self, folder: Path | str) -> None:
        object.__setattr__(self, "folder", Path(folder))

    @property
    def recipe_file(self) -> Path:
        """The complete resolved recipe."""
        return self.folder / "recipe.yaml"

    @property
    def log_file(self) -> Path:
        """One row per epoch."""
        return self.folder / "log.csv"

    @property
    def curves_file(self) -> Path:
        """The plotted log."""
        return self.folder / "curves.png"

    @property
    def checkpoint_file(self) -> Path:
        """Everything needed to resume after the last epoch saved."""
        return self.folder / "checkpoint.ckpt"

    def chosen_file(self, epoch: int) -> Path:
        """Return where the student's weights of a selected epoch are; the checkpoint records which epoch counts."""
        return self.folder / f"chosen-{epoch}.safetensors"

    def features_file(self, split: str) -> Path:
        """Return where a probe keeps the features of a split until it is done."""
        return self.folder / f"features-{split}.npy"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other trainings; the lock ends with the process, however that ends.

        Raises:
            TrainingError: Another training is at work in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / ".lock", timeout=0):
                yield
        except Timeout as error:
            raise TrainingError(f"{self.folder}: another training is using this folder; wait for it") from error

    @property
    def card(self) -> dict[str, Any]:
        """The content of `run.json`; empty if there is none.

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
        """Whether the training has finished and both Models exist."""
        return self.card.get("state") == "finished"

    @property
    def recipe(self) -> "Recipe":
        """The recipe this run follows."""
        from hviskd.training.recipe import load_recipe  # whoever reads a card or a log needs no torch

        return load_recipe(self.recipe_file)

    @property
    def log(self) -> pd.DataFrame:
        """The log, one row per epoch."""
        return pd.read_csv(self.log_file)

    def chosen(self) -> "Model":
        """Load the Model of the selected epoch."""
        return load_model(self.folder / CHOSEN)

    def last(self) -> "Model":
        """Load the Model of the last epoch."""
        return load_model(self.folder / LAST)

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        card, log = self.card, self.log if self.log_file.is_file() else pd.DataFrame()
        state = card.get("state", "not started")
        curves = show.picture_file(self.curves_file, "curves", _NOTEBOOK_PX) if self.curves_file.is_file() else ""
        shown = log[log["epoch"].isin({card.get("chosen_epoch"), log["epoch"].max()})] if len(log) else log
        columns = [name for name in _NOTEBOOK_COLUMNS if name in shown]
        rows = show.table(columns, shown[columns].itertuples(index=False)) if columns else ""
        return show.paragraph(f"{self.folder}: {state}", f"{len(log)} epochs") + rows + curves

    def begin(self, recipe: "Recipe", facts: dict[str, Any], *, resume: bool) -> None:
        """Prepare the folder for a new or a resumed training.

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
                raise TrainingError(f"{self.folder}: contains files but no run; choose another folder")
            write_text(self.recipe_file, recipe.to_yaml())
            self._write_card({"state": "running", "started": _now(), **facts})
            return
        if not resume:
            state = "a finished run; " if self.finished else "an unfinished run; pass `resume=True` to continue it, or "
            raise TrainingError(f"{self.folder}: contains {state}choose another folder")
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
        """Mark the run as finished in its last written file, and delete what only a resumed one needs."""
        self._write_card({**self.card, "state": "finished", "finished": _now(), **facts})
        self.tidy()

    def tidy(self) -> None:
        """Delete what only a resumed training needs."""
        self.checkpoint_file.unlink(missing_ok=True)
        self.keep_chosen(None)
        for path in self.folder.glob("features-*.npy*"):
            path.unlink()

    def keep_chosen(self, epoch: int | None) -> None:
        """Delete the selected weights of all other epochs."""
        for path in self.folder.glob("chosen-*.safetensors"):
            if epoch is None or path != self.chosen_file(epoch):
                path.unlink()

    def _write_card(self, card: dict[str, Any]) -> None:
        write_json(self.folder / "run.json", card)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
