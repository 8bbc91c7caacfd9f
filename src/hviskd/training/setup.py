"""Everything before the first step: do recipe, tiles and teacher fit, and what the loop then holds in its hands."""

import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from hviskd.distillation import Objective, Setting, build_methods
from hviskd.errors import DataError, RecipeError
from hviskd.models import IMAGENET, Model, pick_device
from hviskd.networks import Network, create_network
from hviskd.tiles import LeakReport, TileSet
from hviskd.training.recipe import Recipe


@dataclass
class Learner:
    """What one training holds while it runs.

    Attributes:
        fabric: Devices, precision and processes.
        objective: The student, its methods and the teacher.
        step: The objective as the fabric wrapped it: to be called, never read.
        optimizer: Over all that learns.
        epoch: Epochs done.
        history: One row of the log an epoch.
        chosen: The row of the epoch chosen so far; empty before the first.
    """

    fabric: Fabric
    recipe: Recipe
    tileset: TileSet
    student: Network
    objective: Objective
    step: nn.Module
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """Give all that a checkpoint keeps; a teacher that does not learn is not in it."""
        learning = {"student": self.student, "methods": self.objective.methods}
        if self.objective.teacher is not None and self.objective.teacher_learns:
            learning["teacher"] = self.objective.teacher
        return {
            "networks": nn.ModuleDict(learning),
            "optimizer": self.optimizer,
            "epoch": self.epoch,
            "history": self.history,
            "chosen": self.chosen,
        }


def build_learner(fabric: Fabric, recipe: Recipe, tileset: TileSet, teacher: Model | None) -> Learner:
    """Draw the student's weights by the recipe's seed, build its methods and one optimizer over all that learns.

    Raises:
        RecipeError: A network or stage does not exist, or a method cannot serve this pair.
    """
    torch.manual_seed(recipe.seed)
    student = create_network(recipe.network, len(tileset.classes), recipe.head)
    guide = teacher.network if teacher else None
    setting = Setting(
        student_shapes=student.stage_shapes(tileset.tile_px),
        teacher_shapes=guide.stage_shapes(tileset.tile_px) if guide else None,
        num_classes=len(tileset.classes),
        labels=torch.from_numpy(tileset.labels[tileset.rows("train")]),
    )
    objective = Objective(student, build_methods(recipe.methods, setting), guide)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(
        [weight for weight in objective.parameters() if weight.requires_grad],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
    )
    step, optimizer = fabric.setup(objective, optimizer)
    return Learner(fabric, recipe, tileset, student, objective, step, optimizer)


def open_fabric(recipe: Recipe, device: str, processes: int) -> Fabric:
    """Start the device and, for several processes, the others."""
    fabric = Fabric(
        accelerator=pick_device(device).type,
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        precision=recipe.precision,
    )
    fabric.launch()
    return fabric


def check_fit(recipe: Recipe, tileset: TileSet, teacher: Model | None, processes: int) -> None:
    """Say at once what would fail later.

    Raises:
        DataError: There is no train split.
        RecipeError: The batch does not fit the split or the processes, or the teacher does not fit the tiles.
    """
    count = len(tileset.rows("train"))
    if not count:
        raise DataError(f"{tileset.folder}: has no train split; make one with `hviskd tiles split {tileset.folder}`")
    if count < recipe.batch_size:
        raise RecipeError(f"batch_size {recipe.batch_size} is more than the {count} tiles of the train split; lower it")
    if recipe.batch_size % processes:
        raise RecipeError(f"batch_size {recipe.batch_size} cannot be shared evenly by {processes} processes")
    if teacher is None:
        return
    name = teacher.card.name
    if teacher.card.classes != tileset.classes:
        raise RecipeError(
            f"teacher {name} knows the classes {', '.join(teacher.card.classes)}, the tiles have "
            f"{', '.join(tileset.classes)}; train a teacher on these tiles"
        )
    if teacher.card.tile_px != tileset.tile_px:
        raise RecipeError(f"teacher {name} reads tiles of {teacher.card.tile_px} px, these have {tileset.tile_px} px")
    if teacher.card.normalisation != IMAGENET:
        raise RecipeError(f"teacher {name} normalises its input in another way than students do")


def facts(tileset: TileSet, teacher: Model | None, fabric: Fabric, independence: LeakReport) -> dict[str, Any]:
    """Give what the run's card says of data, teacher, machine and versions."""
    on_gpu = fabric.device.type == "cuda"
    return {
        "depends_on": {
            "data": tileset.fingerprint,
            "split": tileset.split_fingerprint,
            "teacher": teacher.fingerprint if teacher else None,
        },
        "independence": independence.statement,
        "machine": {
            "device": fabric.device.type,
            "name": torch.cuda.get_device_name(fabric.device) if on_gpu else platform.machine(),
            "processes": fabric.world_size,
            "threads": torch.get_num_threads(),
        },
        "versions": {package: version(package) for package in ("hviskd", "torch", "lightning", "numpy")},
    }
