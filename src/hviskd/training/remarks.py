"""What a distillation's own numbers say of its prospects: a method that drowns the others, a teacher hardly better."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from hviskd.distillation import Method, Objective, Reads

_DROWNED = 0.5  # of the sum of losses
_WORTH = 0.02  # of balanced accuracy


def largest_share(objective: Objective, history: Sequence[Mapping[str, float]]) -> str:
    """Say which method on features is more than half of the first epoch's weighted losses; empty if none is.

    Losses on labels and logits are the task itself. One on features beside them is meant to help, and cannot where its
    gradient is all that the student hears. What is counted is the loss, which is known, and not the gradient.
    """
    first = next((row for row in history if "loss_total" in row), None)
    if first is None:
        return ""
    losses = {name.removeprefix("loss_"): value for name, value in first.items() if name.startswith("loss_")}
    shares: dict[str, float] = defaultdict(float)
    for column, share in objective.shares(losses).items():
        shares[column.split("/")[0]] += share
    methods: dict[str, Method] = dict(objective.methods.items())  # type: ignore[arg-type]
    # One that trains its teacher as a peer compares logits, and so needs the teacher itself.
    peers = {name for name in shares if "trained_teacher" in methods[name].needs}
    on_features = [name for name in shares if name not in peers and methods[name].reads() != Reads()]
    largest = max(on_features, key=shares.__getitem__, default=None)
    if largest is None or len(on_features) == len(shares) or shares[largest] <= _DROWNED:
        return ""
    return f"{largest} is {shares[largest]:.0%} of the first epoch's weighted losses and may drown the rest."


def hardly_better(known: float | None, row: Mapping[str, float]) -> str:
    """Say that a teacher is less than two points above its student on the validation split; empty if it is more.

    Args:
        known: The teacher's balanced accuracy there; None if it was not measured.
        row: The student's chosen epoch.
    """
    ours = row.get("val_balanced_accuracy")
    if known is None or ours is None or known - ours >= _WORTH:
        return ""
    return (
        f"On the validation split the teacher's balanced accuracy is {known:.3f}, this student's {ours:.3f}: the "
        "teacher has little more to teach; a better teacher or tiles without labels may help."
    )
