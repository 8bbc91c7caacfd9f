"""Saves what a training has reached, so that it goes on from there however it ends."""

import math
import time
from contextlib import nullcontext

from torch import Tensor

from hviskd.models import write_weights
from hviskd.storage import atomic_file
from hviskd.training.low_power import epoch_worth
from hviskd.training.run import Run
from hviskd.training.setup import Learner

# A kill may cost these seconds of training, and the epoch under way. To flush each of many short epochs to the disk
# took a third of their time.
KEEP_EVERY = 2.0


class Keeper:
    """Selects epochs and saves them: the first, the last, and between them one every `KEEP_EVERY` seconds at most."""

    def __init__(self, learner: Learner, run: Run) -> None:
        self._learner = learner
        self._run = run
        self._selected: dict[str, Tensor] = {}  # the selected epoch's weights while no file has them
        self._kept_at = -math.inf

    def epoch_ended(self) -> None:
        """Select the epoch whose row is the log's last if it is the best so far, and save all if that is due."""
        learner, recipe = self._learner, self._learner.recipe
        row = learner.history[-1]
        worth, best = (epoch_worth(each, recipe) for each in (row, learner.chosen))
        if worth is None or best is None or worth > best:  # None where the last epoch is selected
            learner.chosen = {name: value for name, value in row.items() if name == "epoch" or name.startswith("val_")}
            if learner.fabric.is_global_zero:
                weights = learner.kept.state_dict()
                self._selected = {name: value.detach().to("cpu", copy=True) for name, value in weights.items()}
        due = learner.epoch == recipe.epochs or time.monotonic() - self._kept_at >= KEEP_EVERY
        if learner.fabric.broadcast(due):  # all processes take part in saving, or none
            self._save()

    def _save(self) -> None:
        """Save first the selected weights, then the checkpoint that refers to them, then the log."""
        learner, run, fabric = self._learner, self._run, self._learner.fabric
        if self._selected:
            with atomic_file(run.chosen_file(int(learner.chosen["epoch"]))) as partial:
                write_weights(self._selected, partial)
            self._selected = {}
        own = atomic_file(run.checkpoint_file) if fabric.is_global_zero else nullcontext(run.checkpoint_file)
        with own as partial:
            fabric.save(partial, learner.state())
        if fabric.is_global_zero:
            run.keep_chosen(int(learner.chosen["epoch"]))
            run.write_log(learner.history)
        self._kept_at = time.monotonic()
