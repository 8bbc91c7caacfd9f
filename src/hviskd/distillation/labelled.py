"""The part of a batch that has labels, which is all that a method sees that reads them; `Objective` calls it."""

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from hviskd.distillation.features import changed
from hviskd.distillation.method import Batch, Trace, View


def labelled_part(batch: Batch, student: Trace, teacher: Trace | None) -> tuple[Batch, Trace, Trace | None]:
    """Return a batch and both networks' Traces of it without the tiles that have no label, which come last.

    Views that a method requested are cut in the same way; a batch in which all tiles have labels is returned unchanged.
    """
    count = batch.labelled
    if count is None:
        return batch, student, teacher

    def first(tensor: Tensor) -> Tensor:
        return tensor[:count]

    views = {name: _first(view, count, len(batch.images)) for name, view in batch.views.items()}
    part = replace(
        batch,
        images=batch.images[:count],
        labels=batch.labels[:count],
        index=batch.index[:count],
        views=views,
        teacher=None if batch.teacher is None else _part(batch.teacher, first),
        labelled=None,
    )
    return part, _part(student, first), None if teacher is None else _part(teacher, first)


def _first(view: View, count: int, batch_size: int) -> View:
    """Cut a view that shows the whole batch once or several times over."""

    def first(tensor: Tensor) -> Tensor:
        return tensor.unflatten(0, (-1, batch_size))[:, :count].flatten(0, 1)

    teacher = None if view.teacher is None else _part(view.teacher, first)
    return View(first(view.images), _part(view.student, first), teacher)


def _part(trace: Trace, first: Callable[[Tensor], Tensor]) -> Trace:
    return changed(trace, first, weights=lambda matrix: matrix)
