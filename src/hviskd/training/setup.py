"""Checks recipe, tiles and teacher before the first step, and builds everything the training loop needs."""

import platform
import warnings
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hviskd.checks import require_at_least
from hviskd.distillation import METHODS, Objective, Setting, build_methods
from hviskd.errors import DataError, LeakError, RecipeError
from hviskd.models import Model, NetworkChoice, pick_device
from hviskd.models.admission import acquaintance, require_fit
from hviskd.networks import Network
from hviskd.networks.network_input import TIMM
from hviskd.networks.pretrained import open_pretrained
from hviskd.networks.weight_matching import take_weights
from hviskd.networks.weights_report import WeightsReport
from hviskd.progress import Progress
from hviskd.tiles import TileSet, UnlabelledTiles, require_no_leak
from hviskd.training.joint_norm import join_batch_norms
from hviskd.training.low_power import require_low_power
from hviskd.training.optimizers import build_optimizer, moving_average
from hviskd.training.recipe import Recipe
from hviskd.training.teacher_cache import Source
from hviskd.training.teaching import TeacherUse, Teaching, use_teacher
from hviskd.training.varied_views import Views, told_views, views_of
from hviskd.version import __version__


@dataclass(frozen=True)
class Independence:
    """One sentence for every output on what the splits share, and whether that is a leak."""

    statement: str
    leaks: bool

    def beside(self, unlabelled: UnlabelledTiles | None) -> "Independence":
        """Add what the unlabelled tiles share with the validation and test splits; leaks come first."""
        if unlabelled is None:
            return self
        told = (unlabelled.statement, self.statement) if unlabelled.leaks else (self.statement, unlabelled.statement)
        return Independence(" ".join(told), leaks=self.leaks or unlabelled.leaks)


@dataclass
class Learner:
    """Everything that one training holds while it runs.

    Attributes:
        fabric: Devices, precision and processes.
        choice: What the student is, with the projector that its method gave it.
        objective: The student, its methods and the teacher.
        step: The objective as the fabric wrapped it: to be called, never read.
        optimizer: Over all that learns.
        views: How tiles are varied.
        unlabelled: The tiles without labels that join; None without such.
        average: The moving average of the student; None without one.
        started_from: Weights trained elsewhere that the student started from, if it did.
        start: The Model of ours that the student started from, if it did.
        use: How the teacher's answers come by.
        epoch: Epochs done.
        history: One row of the log an epoch.
        chosen: The row of the epoch chosen so far; empty before the first.
    """

    fabric: Fabric
    recipe: Recipe
    tileset: TileSet
    choice: NetworkChoice
    student: Network
    objective: Objective
    step: nn.Module
    optimizer: torch.optim.Optimizer
    views: Views
    average: AveragedModel | None
    started_from: WeightsReport | None
    start: Model | None
    unlabelled: UnlabelledTiles | None = None
    use: TeacherUse = field(default_factory=TeacherUse)
    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    chosen: dict[str, float] = field(default_factory=dict)

    def store_teacher(self, teacher: Model, teaching: Teaching, progress: Progress | None) -> Model:
        """Store what is read of the teacher, where it can be; then it never runs again, and returns without weights."""
        told = told_views(self.recipe)
        sources = [Source(self.tileset, self.tileset.rows("train"), self.views, told)]
        if (more := self.unlabelled) is not None:
            sources.append(Source(more.tileset, more.rows, views_of(self.recipe, len(more.rows)), told))
        self.use = use_teacher(
            teaching,
            teacher,
            self.objective,
            sources,
            epochs=self.recipe.epochs,
            device=self.fabric.device,
            progress=progress,
        )
        if not self.use.caches:
            return teacher
        self.objective.teacher = None
        return teacher.hollow()

    @property
    def kept(self) -> Network:
        """What is validated and becomes a Model: the student, or its moving average."""
        return self.student if self.average is None else cast(Network, self.average.module)

    def state(self) -> dict[str, Any]:
        """Return everything that a checkpoint stores; a teacher is included only if it is trained."""
        learning = {"student": self.student, "methods": self.objective.methods}
        if self.objective.teacher is not None and self.objective.teacher_learns:
            learning["teacher"] = self.objective.teacher
        if self.average is not None:
            learning["average"] = self.average
        return {
            "networks": nn.ModuleDict(learning),
            "optimizer": self.optimizer,
            "epoch": self.epoch,
            "history": self.history,
            "chosen": self.chosen,
        }


def build_learner(
    fabric: Fabric, recipe: Recipe, tileset: TileSet, teacher: Model | None, start: Model | None = None
) -> Learner:
    """Initialise the student from the recipe's seed or a Model, and build its methods and one optimizer for all.

    Raises:
        RecipeError: A network or stage does not exist, or a method cannot serve this pair.
    """
    torch.manual_seed(recipe.seed)
    guide = teacher.network if teacher else None
    choice = recipe.choice.model_copy(update={"projector": _projector(recipe, guide)})
    if start is not None:
        choice = choice.completed_by(start.card.network)
    choice, student, started_from = _start(recipe, choice, tileset)
    if recipe.low_power and not recipe.probe:
        require_low_power(choice, tileset.tile_px)
    if guide is not None and choice.projector is not None:
        student.head.classifier.load_state_dict(guide.head.classifier.state_dict())
        student.head.classifier.requires_grad_(requires_grad=False)
    if start is not None:
        _start_from(start, student, choice, tileset)
    rows = tileset.rows("train")
    labels = torch.from_numpy(tileset.labels[rows])
    setting = Setting(
        student=student.shapes(tileset.tile_px),
        teacher=guide.shapes(tileset.tile_px) if guide else None,
        num_classes=len(tileset.classes),
        labels=labels,
        label_weights=label_weights(labels, len(tileset.classes)) if recipe.balance == "weights" else None,
    )
    objective = Objective(
        student, build_methods(recipe.methods, setting), guide, recipe.methods, low_power=recipe.low_power
    )
    if fabric.world_size > 1:
        for part in objective.learning():
            join_batch_norms(part, fabric.device)
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    step, optimizer = fabric.setup(objective, build_optimizer(recipe, objective))
    average = moving_average(student, recipe.ema) if recipe.ema else None
    views = views_of(recipe, len(rows))
    origins = started_from, start
    return Learner(fabric, recipe, tileset, choice, student, objective, step, optimizer, views, average, *origins)


def _start(
    recipe: Recipe, choice: NetworkChoice, tileset: TileSet
) -> tuple[NetworkChoice, Network, WeightsReport | None]:
    """Build the student, with random weights or those that the recipe names."""
    classes, tile_px = len(tileset.classes), tileset.tile_px
    if recipe.weights is None:
        student = choice.build(classes, tile_px)
        return choice.settled(student), student, None
    source = open_pretrained(recipe.weights, recipe.weights_licence)
    choice = choice.model_copy(update=source.settle(choice.name, choice.arguments, tile_px))
    student = choice.build(classes, tile_px)
    return choice, student, take_weights(student, source)


def _start_from(start: Model, student: Network, choice: NetworkChoice, tileset: TileSet) -> None:
    """Give a student the weights of a finished Model, those of the classifier only if it has the same classes.

    Raises:
        RecipeError: It is another network.
    """
    theirs = start.card
    if theirs.network != choice:
        raise RecipeError(f"`start={start.folder}`: is {theirs.network}, but the recipe's network is {choice}")
    taken = start.network.state_dict()
    if theirs.classes != tileset.classes:
        taken |= {f"head.classifier.{name}": value for name, value in student.head.classifier.state_dict().items()}
    student.load_state_dict(taken)


def label_weights(labels: Tensor, classes: int) -> Tensor:
    """Return weights (K,) in inverse proportion to the classes' numbers among labels (N,), 1 on average over them."""
    return len(labels) / (classes * torch.bincount(labels, minlength=classes)).float()


def _projector(recipe: Recipe, guide: Network | None) -> tuple[int, int] | None:
    """Return channels and reduction of the projector that a method needs before the teacher's classifier."""
    wanting = [name for name in recipe.methods if "teacher_head" in METHODS[name].needs]
    if not wanting or guide is None:
        return None
    channels = guide.head.classifier.in_features
    if not guide.averages:
        raise RecipeError(
            f"methods.{wanting[0]} reuses the teacher's classifier, which must read the plain mean of its last map, as "
            "one with `head: gap` does in most networks"
        )
    return channels, recipe.methods[wanting[0]].reduction  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Devices:
    """Where a training runs.

    Attributes:
        kind: `auto`, `cpu`, `cuda` or `mps`.
        processes: How many, one a GPU, share each batch.
        nodes: Computers over which torchrun or SLURM has started them, the same number on each.

    Raises:
        DataError: A number is below 1, or the processes cannot be divided evenly among the computers.
    """

    kind: str = "auto"
    processes: int = 1
    nodes: int = 1

    def __post_init__(self) -> None:
        """Reject invalid values."""
        require_at_least(1, processes=self.processes, nodes=self.nodes)
        if self.processes % self.nodes:
            raise DataError(
                f"`processes={self.processes}`: not divisible by `nodes={self.nodes}`; count the processes of all "
                "computers together"
            )


def open_fabric(recipe: Recipe, devices: Devices) -> Fabric:
    """Start the device and, if there are several, the other processes."""
    where, processes = pick_device(devices.kind), devices.processes
    if where.type == "cpu" and recipe.precision == "16-mixed":
        raise RecipeError("precision 16-mixed needs a GPU; use bf16-mixed or 32-true on a CPU")
    if processes > 1:
        # A method that counts for a part of the training leaves its adapters without a gradient for the rest.
        partial = any(METHODS[name].phased or options.during != (0.0, 1.0) for name, options in recipe.methods.items())
        partial |= recipe.network.startswith(TIMM)  # a head may leave a part unread, as CrossViT's last class tokens
        strategy: Strategy | str = DDPStrategy(find_unused_parameters=partial)
    else:
        strategy = "auto"
    chosen = [where.index] if processes == 1 and where.index is not None else processes // devices.nodes
    with warnings.catch_warnings():
        if processes == 1:  # where a queue's srun is installed, one process does not need it
            warnings.filterwarnings("ignore", "The `srun` command is available")
        fabric = Fabric(
            accelerator=where.type,
            devices=chosen,
            num_nodes=devices.nodes,
            strategy=strategy,
            precision=recipe.precision,
        )
    fabric.launch()
    return fabric


def check_fit(recipe: Recipe, tileset: TileSet, teacher: Model | None, processes: int, *, unlabelled: int = 0) -> None:
    """Raise errors now that would otherwise occur later; `unlabelled` tiles of each batch are not of the split.

    Raises:
        DataError: There is no train split.
        RecipeError: The batch does not fit the split or the processes, or no method learns from a teacher.
        ModelError: The teacher does not fit the tiles.
    """
    train = tileset.require_split("train")
    if recipe.probe:
        tileset.require_split("val")
        if teacher is not None or processes > 1:
            raise RecipeError(
                "`probe=True`: learns from the labels alone, in one process; leave out teacher and processes"
            )
    elif len(train) < (wanted := recipe.batch_size - unlabelled):
        whole = f"`batch_size={recipe.batch_size}`"
        what = whole if not unlabelled else f"the labelled part of {whole}, {wanted} tiles,"
        fits = 2 ** max(0, (len(train) // 2).bit_length() - 1)
        raise RecipeError(
            f"{what} is larger than the training split ({len(train)} tiles); add tiles, or pass a smaller one, such as "
            f"`batch_size={fits}`"
        )
    if recipe.batch_size % processes:
        raise RecipeError(f"batch_size {recipe.batch_size} is not divisible by {processes} processes")
    missing = sorted(set(tileset.classes) - set(tileset.table["class"].iloc[train]))
    if nowhere := sorted(set(missing) - set(tileset.table["class"])):
        raise DataError(
            f"{tileset.folder}: no tiles of class {', '.join(nowhere)} in any split; look whether the legend and the "
            "annotations have it, and make the tiles again"
        )
    if missing:
        raise DataError(f"{tileset.folder}: no training tiles of class {', '.join(missing)}; split it again")
    if teacher is None:
        return
    if not any("teacher" in METHODS[method].needs for method in recipe.methods):
        raise RecipeError(
            f"none of the methods {', '.join(recipe.methods)} uses a teacher; add one that does, for example kd"
        )
    require_fit(teacher, tileset, as_teacher=True)


def independence_of(
    tileset: TileSet, teacher: Model | None, start: Model | None = None, *, allow_leak: bool
) -> Independence:
    """Return what is known of the splits' independence, including the tiles of the teacher and of the first weights.

    Raises:
        LeakError: The splits leak, or the teacher or the first weights saw what the student is kept from, and
            `allow_leak` is not set.
    """
    report = require_no_leak(tileset, allow_leak=allow_leak)
    reasons, notes = [], []
    for role, model in (("teacher", teacher), ("starting Model", start)):
        if model is None:
            continue
        theirs = model.card.data
        if theirs.leak_allowed:
            reasons.append(f"the {role} {model.card.name} was trained on splits that leak")
        elif acquaintance(theirs, tileset) == "other split":
            reasons.append(f"the {role} {model.card.name} was trained on these tiles with another split")
        elif acquaintance(theirs, tileset) == "other tiles":
            notes.append(
                f"The {role} was trained on other tiles ({theirs.name}); whether it saw these patients is unknown."
            )
    if reasons and not allow_leak:
        raise LeakError(f"{tileset.folder}: {reasons[0]}; train one on this split", ", or pass `allow_leak=True`")
    told = [*(f"LEAK: {reason}." for reason in reasons), report.statement, *notes]
    return Independence(" ".join(told), leaks=report.leaks or bool(reasons))


def facts(learner: Learner, teacher: Model | None, independence: Independence) -> dict[str, Any]:
    """Return what the run's card records of data, teacher, machine and versions."""
    tileset, fabric, unlabelled = learner.tileset, learner.fabric, learner.unlabelled
    on_gpu = fabric.device.type == "cuda"
    return {
        "depends_on": {
            "data": tileset.fingerprint,
            "split": tileset.split_fingerprint,
            "teacher": teacher.fingerprint if teacher else None,
            "weights": learner.started_from.sha256 if learner.started_from else None,
            "start": learner.start.fingerprint if learner.start else None,
            "unlabelled tiles": unlabelled.fingerprint if unlabelled else None,
        },
        "independence": independence.statement,
        **({} if unlabelled is None else {"unlabelled": {"name": unlabelled.name, "tiles": len(unlabelled.rows)}}),
        "machine": {
            "device": fabric.device.type,
            "name": torch.cuda.get_device_name(fabric.device) if on_gpu else platform.machine(),
            "processes": fabric.world_size,
            "threads": torch.get_num_threads(),
        },
        "versions": {"hviskd": __version__}
        | {package: version(package) for package in ("torch", "lightning-fabric", "numpy")},
    }
