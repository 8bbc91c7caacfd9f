"""Adapts a student to another place, of which there are tiles but no labels, and measures what it gained and cost.

adapted/                                            the training, an ordinary run; its Model tells the numbers
adaptation.md, adaptation.json, adaptation.png      student, adapted student and teacher, at home and at the new place
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from hviskd.colours import PALETTE
from hviskd.errors import RecipeError, without_allow_leak
from hviskd.evaluation import Evaluation, evaluate
from hviskd.evaluation.tables import Table, markdown_table
from hviskd.figure_text import fit
from hviskd.models import AnyModel, Compute, Model, load_model, save_model
from hviskd.models.admission import cautions, require_fit
from hviskd.models.card import AdaptationRecord, BeforeAndAfter
from hviskd.pictures import new_figure, save_figure
from hviskd.progress import Progress
from hviskd.storage import write_json, write_text
from hviskd.tiles import TileSet, join_unlabelled, require_no_leak
from hviskd.training import Recipe, Run, Teaching, load_recipe, train

_METRIC = "balanced_accuracy"
_STUDENT, _ADAPTED, _TEACHER = range(3)  # places in an evaluation


@dataclass(frozen=True)
class Adaptation:
    """An adapted student, with what it gained and cost.

    Attributes:
        run: The training.
        home: Student, adapted student and teacher on the validation split of the tiles at home.
        place: The same on the test split of labelled tiles of the new place; None without such.
    """

    run: Run
    home: Evaluation
    place: Evaluation | None

    @property
    def won_back(self) -> float | None:
        """The part that was won back of what the change of place cost the student; None if unknown or no cost."""
        if self.place is None:
            return None
        cost = _value(self.home, _STUDENT) - _value(self.place, _STUDENT)
        return (_value(self.place, _ADAPTED) - _value(self.place, _STUDENT)) / cost if cost > 0 else None

    @property
    def statements(self) -> tuple[str, ...]:
        """What was gained and what it cost, then all that must be known of tiles and Models."""
        told = [f"At home the student {_changed(self.home)}."]
        if self.place is None:
            told.append("What it gained at the new place is not known: there were no labelled tiles to measure on.")
        else:
            told.append(f"At the new place it {_changed(self.place)}.")
            cost = 100 * (_value(self.home, _STUDENT) - _value(self.place, _STUDENT))
            if self.won_back is None:
                told.append("The change of place had cost the student nothing.")
            else:
                kept = f"{self.won_back:.0%} of them were won back" if self.won_back > 0 else "none were won back"
                told.append(f"The change of place had cost {cost:.1f} points; {kept}.")
        measured = [self.home, *([self.place] if self.place else [])]
        return (*told, *dict.fromkeys(statement for each in measured for statement in each.statements))

    def summary_table(self) -> Table:
        """Return header and rows, as text: one row per place."""
        header = ["tiles", "student, %", "adapted, %", "change, points", "teacher, %"]
        return header, [_row("at home", self.home), *([_row("at the new place", self.place)] if self.place else [])]

    def to_dict(self) -> dict[str, Any]:
        """Return both evaluations as plain JSON values."""
        return {"format_version": 1, "home": self.home.to_dict(), "place": self.place.to_dict() if self.place else None}

    def to_markdown(self) -> str:
        """Return the table and every statement as Markdown."""
        return "\n\n".join([markdown_table(self.summary_table()), *self.statements]) + "\n"

    def _repr_html_(self) -> str:
        from hviskd import notebook_html as show

        return show.table(*self.summary_table()) + "".join(map(show.paragraph, self.statements))


@without_allow_leak()
def adapt(
    student: AnyModel,
    tileset: TileSet | Path | str,
    folder: Path | str,
    *,
    teaching: Teaching,
    measured: TileSet | Path | str | None = None,
    recipe: Recipe | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Adaptation:
    """Train a student further on tiles of a new place, without their labels, beside those that it learned from.

    No epoch is selected: the validation split knows nothing of the new place. To continue after an interruption,
    repeat the call.

    Args:
        student: A Model, its folder, or a finished Run.
        tileset: What it learned from, with labels and a validation split, so that it does not forget.
        folder: Folder for the training, the table and the figure.
        teaching: The teacher, and as its `unlabelled` the tiles of the new place.
        measured: Labelled tiles of the new place, whose test split shows what was gained; it must be of other slides
            and patients than those adapted to and those trained on at home.
        recipe: How to train; by default the built-in recipe `adapt`.
        device: Where training and measuring run.
        progress: Called with done, total and what is being done; a bar by default.

    Raises:
        RecipeError: There are no unlabelled tiles, or no method of the recipe learns from them.
        LeakError: Tiles that it learns from share patients or slides with those to be measured on, whose splits must
            not leak either; or student or teacher were trained on the latter with another split.
        DataError, ModelError: Tiles, student and teacher do not match.
        TrainingError: The folder holds another training.
    """
    if teaching.unlabelled is None:
        raise RecipeError("`teaching`: has no `unlabelled` tiles; give those of the new place")
    tileset, folder, before = TileSet.open(tileset), Path(folder), load_model(student)
    tileset.require_split("val")
    place = None if measured is None else _new_place(before, TileSet.open(measured), tileset, teaching)
    start = {"start": str(before.folder)}
    recipe = load_recipe("adapt", start) if recipe is None else recipe.changed(start)
    run = Run(folder / "adapted")
    train(recipe, tileset, run.folder, teacher=teaching, resume=bool(run.card), device=device, progress=progress)

    models, compute = [before, run.chosen(), load_model(teaching.teacher)], Compute(device=device)
    home = evaluate(models, tileset, split="val", compute=compute, progress=progress)
    there = None if place is None else evaluate(models, place, compute=compute, progress=progress)
    found = Adaptation(run, home, there)
    record = AdaptationRecord(
        student=before.card.name,
        fingerprint=before.fingerprint,
        home=_before_and_after(home),
        place=None if there is None else _before_and_after(there),
    )
    adapted = models[_ADAPTED]
    if adapted.card.adaptation != record:
        card = adapted.card.model_copy(update={"adaptation": record})
        save_model(adapted.network, card, adapted.folder, overwrite=True)
    _save(found, folder)
    return found


def _new_place(student: Model, place: TileSet, home: TileSet, teaching: Teaching) -> TileSet:
    """Return labelled tiles of the new place if their test split can measure what adapting gains there.

    What `evaluate` would refuse is refused here, before hours of training.
    """
    require_fit(student, place)
    place.require_split("test")
    require_no_leak(place)
    models = [student, load_model(teaching.teacher)]
    cautions(models, [model.card.name for model in models], place, "test", allow_leak=False)
    assert teaching.unlabelled is not None
    for learned in (teaching.unlabelled, home):  # the same patients may have slides at both places
        join_unlabelled(place, learned)
    return place


def _value(evaluation: Evaluation, which: int) -> float:
    return evaluation.models[which].metrics.overall()[_METRIC]


def _before_and_after(evaluation: Evaluation) -> BeforeAndAfter:
    return BeforeAndAfter(
        data=evaluation.data_name,
        split=evaluation.split,
        tiles=len(evaluation.labels),
        before=_value(evaluation, _STUDENT),
        after=_value(evaluation, _ADAPTED),
    )


def _change(evaluation: Evaluation) -> str:
    """Return the change in points with its interval, as text."""
    name = evaluation.models[_ADAPTED].name
    (found,) = (each for each in evaluation.differences if (each.model, each.metric) == (name, _METRIC))
    interval = "" if found.interval is None else f" ({100 * found.interval[0]:+.1f} to {100 * found.interval[1]:+.1f})"
    return f"{100 * found.value:+.1f}{interval}"


def _changed(evaluation: Evaluation) -> str:
    before, after = (100 * _value(evaluation, which) for which in (_STUDENT, _ADAPTED))
    return (
        f"went from a balanced accuracy of {before:.1f} % to {after:.1f} % "
        f"({evaluation.split} split of {evaluation.data_name}, {len(evaluation.labels):,} tiles): "
        f"{_change(evaluation)} points"
    )


def _row(where: str, evaluation: Evaluation) -> list[str]:
    before, after, teacher = (f"{100 * _value(evaluation, which):.1f}" for which in (_STUDENT, _ADAPTED, _TEACHER))
    return [f"{where} ({evaluation.data_name}, {evaluation.split})", before, after, _change(evaluation), teacher]


def _save(found: Adaptation, folder: Path) -> None:
    write_json(folder / "adaptation.json", found.to_dict())
    write_text(folder / "adaptation.md", found.to_markdown())
    save_figure(_draw(found), folder / "adaptation.png")


def _draw(found: Adaptation) -> Figure:
    """Draw student, adapted student and teacher, a row per place, with an arrow from before to after."""
    rows = list(_drawn(found))
    figure = new_figure(8, 1.5 + 0.8 * len(rows))
    axes = figure.subplots()
    for at, (_, evaluation) in enumerate(rows):
        before, after, teacher = (100 * _value(evaluation, which) for which in (_STUDENT, _ADAPTED, _TEACHER))
        axes.annotate("", (after, at), (before, at), arrowprops={"arrowstyle": "->", "color": "0.5", "lw": 1.5})
        for value, marker, colour, name in (
            (before, "o", PALETTE[0], "student"),
            (after, "D", PALETTE[2], "adapted"),
            (teacher, "|", PALETTE[1], "teacher"),
        ):
            axes.plot([value], [at], marker, color=colour, ms=9, mew=2, label=name if at == 0 else None)
        interval = evaluation.models[_ADAPTED].intervals[_METRIC]
        if interval is not None:
            axes.plot([100 * end for end in interval], [at, at], color=PALETTE[2], lw=4, alpha=0.25, zorder=0)
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel("balanced accuracy, % (band: 95 % interval of the adapted student)")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
    return figure


def _drawn(found: Adaptation) -> Iterator[tuple[str, Evaluation]]:
    yield f"at home\n{fit(found.home.data_name, 2.0, 10)}", found.home
    if found.place is not None:
        yield f"at the new place\n{fit(found.place.data_name, 2.0, 10)}", found.place
