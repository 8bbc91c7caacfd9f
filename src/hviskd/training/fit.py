"""The training loop, to be read from top to bottom."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.nn import functional as F

from hviskd.distillation import Batch
from hviskd.errors import DivergedError, HviskdError, RecipeError
from hviskd.models import IMAGENET, AnyModel, InputStep, Model, load_model
from hviskd.processor import keep_freed_memory
from hviskd.progress import Advance, Progress, progress_bar
from hviskd.tiles import TileSet, join_unlabelled
from hviskd.tiles.augmentation import vary
from hviskd.training.batches import TileBatches
from hviskd.training.boards import tensorboard
from hviskd.training.curves import draw_curves, draw_probes
from hviskd.training.export import export_models
from hviskd.training.keeping import Keeper
from hviskd.training.low_power import keep_statistics
from hviskd.training.optimizers import rate_at, set_rate
from hviskd.training.probe import run_probe
from hviskd.training.recipe import Recipe
from hviskd.training.remarks import hardly_better, largest_share
from hviskd.training.run import Run
from hviskd.training.setup import (
    Devices,
    Independence,
    Learner,
    build_learner,
    check_fit,
    facts,
    independence_of,
    open_fabric,
)
from hviskd.training.standing import Standing, require_better_than_a_guess
from hviskd.training.tally import LossTally, accuracies, confusion
from hviskd.training.teaching import Teaching
from hviskd.training.unlabelled import (
    UnlabelledBatches,
    unlabelled_parts,
    unlabelled_per_batch,
    with_unlabelled,
)
from hviskd.training.varied_views import draw_own

_LOOK_EVERY = 50  # steps between two checks of the losses on a GPU, since each waits for the device


def train(
    recipe: Recipe,
    tileset: TileSet | Path | str,
    folder: str | Path,
    *,
    teacher: "AnyModel | Teaching | None" = None,
    resume: bool = False,
    allow_leak: bool = False,
    device: str | Devices = "auto",
    progress: Progress | None = None,
) -> Run:
    """Train a network on a TileSet's training split, and select the epoch on its validation split.

    Without a teacher, this trains a teacher, or a student alone; with one, it distils. If killed at any moment, the
    training continues with `resume` after the last epoch that was saved (the first, and then each that ends two seconds
    or more after the one saved before) and, on a CPU, ends with the weights of an uninterrupted one. Several processes
    are started by running the calling script once more for each, or have been by torchrun or SLURM.

    Args:
        recipe: The network, and how to train it.
        tileset: The tiles.
        folder: Folder for the run.
        teacher: The Model to distil from, its folder, or a finished Run (its selected Model); or `Teaching`, to say how
            what is read of it is stored.
        resume: Continue an unfinished run in the folder.
        allow_leak: Train even if the splits leak; every output says so.
        device: `auto`, `cpu`, `cuda` or `mps`; or `Devices`, to share each batch among several GPUs or
            computers.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        LeakError: The split leaks and `allow_leak` is not set.
        RecipeError, DataError: This is no recipe, or recipe, tiles and teacher do not match.
        TrainingError: The folder is in use or not empty.
        DivergedError: A loss or a weight is NaN or infinite.
    """
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"`recipe={recipe!r}`: must be a Recipe; load one with `load_recipe()`")
    tileset = TileSet.open(tileset)
    teaching = teacher if teacher is None or isinstance(teacher, Teaching) else Teaching(teacher)
    guide = None if teaching is None else load_model(teaching.teacher)
    more = None if teaching is None else teaching.unlabelled
    unlabelled = None if more is None else join_unlabelled(tileset, more, allow_leak=allow_leak)
    start = None if recipe.start is None else load_model(recipe.start)
    independence = independence_of(tileset, guide, start, allow_leak=allow_leak).beside(unlabelled)
    devices = device if isinstance(device, Devices) else Devices(device)
    shared = 0 if unlabelled is None else unlabelled_per_batch(recipe, devices.processes)
    check_fit(recipe, tileset, guide, devices.processes, unlabelled=shared)
    standing = Standing()
    if guide is not None and teaching is not None:
        standing = require_better_than_a_guess(
            guide, tileset, recipe, devices.kind, allow_weak=teaching.allow_weak, progress=progress
        )
    run = Run(Path(folder))
    fabric = open_fabric(recipe, devices)
    if fabric.device.type == "cpu":
        keep_freed_memory()
    learner = build_learner(fabric, recipe, tileset, guide, start)
    learner.unlabelled = unlabelled
    with run.locked() if fabric.is_global_zero else nullcontext():
        _in_first_process(fabric, lambda: run.begin(recipe, facts(learner, guide, independence), resume=resume))
        if run.finished:
            run.tidy()
        else:
            _restore(learner, run)
            if recipe.probe:
                run_probe(learner, run, progress)
            else:
                if guide is not None and teaching is not None:
                    guide = learner.store_teacher(guide, teaching, progress)
                _learn(learner, run, progress)
            if fabric.is_global_zero:
                _finish(learner, run, guide, independence, standing)
        fabric.barrier()
    return run


def _learn(learner: Learner, run: Run, progress: Progress | None) -> None:
    """Run the remaining epochs."""
    recipe, tileset, fabric = learner.recipe, learner.tileset, learner.fabric
    batches = partial(TileBatches, tileset, rank=fabric.global_rank, world=fabric.world_size)
    balanced = recipe.balance == "sampling"
    shared = 0 if learner.unlabelled is None else unlabelled_per_batch(recipe, fabric.world_size)
    train_split = batches("train", recipe.batch_size - shared, fabric.device, balanced=balanced)
    joining = None
    if learner.unlabelled is not None:
        place = {"rank": fabric.global_rank, "world": fabric.world_size}
        joining = UnlabelledBatches(learner.unlabelled, shared, recipe, fabric.device, **place)
    val_split = batches("val", recipe.batch_size, fabric.device)
    input_step = InputStep(IMAGENET).to(fabric.device)
    with (
        _bar(learner, run, len(train_split), progress) as advance,
        tensorboard(run.folder / "tensorboard", wanted=fabric.is_global_zero, after_epoch=learner.epoch) as board,
    ):
        keeper = Keeper(learner, run)
        if learner.start is not None and not learner.history and len(val_split.rows):
            learner.history.append({"epoch": 0} | _validate(learner, val_split, input_step))
            keeper.epoch_ended()  # what training does not improve upon is what is selected
        while learner.epoch < recipe.epochs:
            row = _train_epoch(learner, train_split, joining, input_step, advance)
            _require_finite(learner)
            row |= _validate(learner, val_split, input_step)
            learner.history.append(row)
            keeper.epoch_ended()
            board(row)
            drowning = largest_share(learner.objective, learner.history) if learner.epoch == 1 else ""
            advance(0, note=" — ".join(filter(None, (_said(row, recipe), drowning))))


def _said(row: dict[str, float], recipe: Recipe) -> str:
    """Say in short how an epoch ended."""
    told = f"epoch {int(row['epoch'])} of {recipe.epochs}: loss {row['loss_total']:.3f}"
    by = f"val_{recipe.measure}"
    return f"{told}, {by.replace('_', ' ')} {row[by]:.3f}" if by in row else told


def _finish(learner: Learner, run: Run, teacher: Model | None, independence: Independence, standing: Standing) -> None:
    """Plot the log, and turn the weights into Models."""
    epoch = int(learner.chosen["epoch"])
    run.write_log(learner.history)
    note = " ".join(filter(None, (independence.statement if independence.leaks else "", standing.note)))
    draw = draw_probes if learner.recipe.probe else draw_curves
    draw(run.log, run.curves_file, title=run.folder.name, chosen=epoch, note=note)
    export_models(run, learner, teacher, independence, weak=standing.weak)
    remarks = [standing.note, learner.use.note, largest_share(learner.objective, learner.history)]
    if teacher is not None and not standing.weak:
        remarks.append(hardly_better(standing.accuracy, learner.chosen))
    said = " ".join(filter(None, remarks))
    told = {"teacher": said} if said else {}
    seconds = sum(row.get("seconds", 0) for row in learner.history)
    run.finish({"chosen_epoch": epoch, "training_seconds": seconds, **told})


def _train_epoch(
    learner: Learner,
    split: TileBatches,
    joining: UnlabelledBatches | None,
    input_step: InputStep,
    advance: Advance,
) -> dict[str, float]:
    """Train on every complete batch once, each with its unlabelled tiles, and return the epoch's row of the log."""
    recipe, fabric = learner.recipe, learner.fabric
    started = time.perf_counter()
    order_seed = _epoch_seed(recipe.seed, learner.epoch)
    place = {"rank": fabric.global_rank, "world": fabric.world_size}
    torch.manual_seed(order_seed + fabric.global_rank)  # for methods that draw; as each epoch does, so that runs resume
    generator = torch.Generator().manual_seed(order_seed)
    learner.objective.train()
    learner.objective.progress = learner.epoch / recipe.epochs
    if recipe.low_power:
        keep_statistics(learner.student, learner.objective.progress)
    tally = LossTally(learner.epoch + 1, every=1 if fabric.device.type == "cpu" else _LOOK_EVERY)
    counts = _no_counts(learner)
    parts = zip(split.shuffled(order_seed), unlabelled_parts(joining, order_seed, len(split)), strict=True)
    for number, (batch, more) in enumerate(parts):
        rate = rate_at(recipe, (learner.epoch + number / len(split)) / recipe.epochs)
        set_rate(learner.optimizer, rate)
        view, variation = draw_own(learner.views, batch.index, generator, **place)
        images = input_step(vary(batch.tiles, variation))
        seen = [(batch.index, view), *([more.seen] if more else [])]
        stored = learner.use.read(seen, fabric.device)
        tiles = Batch(images, batch.labels, batch.index, teacher=stored)
        step = learner.step(with_unlabelled(tiles, input_step(more.tiles)) if more else tiles)
        tally.add(step.losses | {"total": step.total.detach()})
        fabric.backward(step.total)
        if recipe.clip:
            fabric.clip_gradients(learner.step, learner.optimizer, max_norm=recipe.clip, error_if_nonfinite=False)
        learner.optimizer.step()
        learner.optimizer.zero_grad()
        if learner.average is not None:
            learner.average.update_parameters(learner.student)
        counts += confusion(step.logits, batch.labels)
        advance(1, note=f"epoch {learner.epoch + 1} of {recipe.epochs}")
    means = {name: torch.tensor(value) for name, value in tally.means().items()}
    losses = {name: _over_processes(learner, value, "mean").item() for name, value in means.items()}
    learner.epoch += 1
    return {
        "epoch": learner.epoch,
        "learning_rate": rate,
        "seconds": time.perf_counter() - started,
        **{f"train_{name}": value for name, value in accuracies(_over_processes(learner, counts)).items()},
        **{f"loss_{name}": value for name, value in losses.items()},
        **learner.objective.learned(),
    }


def _validate(learner: Learner, split: TileBatches, input_step: InputStep) -> dict[str, float]:
    """Evaluate the student on the validation split, if there is one."""
    if not len(split.rows):
        return {}
    fabric, counts, small = learner.fabric, _no_counts(learner), _no_counts(learner)
    loss = torch.zeros((), device=fabric.device)
    learner.objective.eval()
    learner.kept.eval()
    if fabric.world_size > 1:  # a normalisation of timm's own kind saw its process's part; the first one's is kept
        for buffer in learner.kept.buffers():
            buffer.copy_(fabric.broadcast(buffer))
    with torch.inference_mode(), fabric.autocast():
        for batch in split.in_order():
            images = input_step(batch.tiles)
            logits = learner.kept(images).float()
            loss += F.cross_entropy(logits, batch.labels, reduction="sum")
            counts += confusion(logits, batch.labels)
            if learner.recipe.low_power:
                small += confusion(learner.kept(F.avg_pool2d(images, 2)), batch.labels)
    counts, loss = _over_processes(learner, counts), _over_processes(learner, loss)
    measured = {"cross_entropy": (loss / counts.sum()).item(), **accuracies(counts)}
    if learner.recipe.low_power:
        at_low_power = accuracies(_over_processes(learner, small))
        measured |= {f"low_power_{name}": value for name, value in at_low_power.items()}
    return {f"val_{name}": value for name, value in measured.items()}


def _require_finite(learner: Learner) -> None:
    """Check the weights after an epoch's last step, which no loss has tested yet."""
    for name, value in learner.kept.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise DivergedError(
                f"epoch {learner.epoch}: {name} is NaN or infinite after the last step; the last checkpoint is kept: "
                f"lower the learning rate in a new run"
            )


def _in_first_process(fabric: Fabric, action: Callable[[], None]) -> None:
    """Run something in the first process alone; if it fails, all processes stop and one reports why."""
    problem: HviskdError | OSError | None = None
    if fabric.is_global_zero:
        try:
            action()
        except (HviskdError, OSError) as error:
            problem = error
    failed = fabric.broadcast(problem is not None)
    if problem is not None:
        raise problem
    if failed:
        raise SystemExit(2)


def _restore(learner: Learner, run: Run) -> None:
    """Return to the last epoch that was saved, if there is one."""
    if run.checkpoint_file.is_file():
        state = learner.state()
        learner.fabric.load(run.checkpoint_file, state, weights_only=True)
        learner.epoch, learner.history, learner.chosen = state["epoch"], state["history"], state["chosen"]


@contextmanager
def _bar(learner: Learner, run: Run, steps: int, progress: Progress | None) -> Iterator[Advance]:
    """Show the progress bar in one process, starting where the run continues."""
    if not learner.fabric.is_global_zero:
        yield lambda *_args, **_kwargs: None
        return
    whole, done = learner.recipe.epochs * steps, learner.epoch * steps
    with progress_bar(f"train {run.folder.name}", whole, progress, done=done) as advance:
        yield advance


def _no_counts(learner: Learner) -> torch.Tensor:
    classes = len(learner.tileset.classes)
    return torch.zeros(classes, classes, dtype=torch.int64, device=learner.fabric.device)


def _over_processes(learner: Learner, part: torch.Tensor, how: str = "sum") -> torch.Tensor:
    joint = learner.fabric.all_reduce(part, reduce_op=how)
    assert isinstance(joint, torch.Tensor)
    return joint


def _epoch_seed(seed: int, epoch: int) -> int:
    return seed * 1_000_003 + epoch * 7_919 + 1
