"""Writes the log to TensorBoard as well, if it is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tensorboard(folder: Path, *, wanted: bool, after_epoch: int) -> Iterator[Callable[[dict[str, float]], None]]:
    """Return a function that sends a row of the log to TensorBoard; it does nothing if that is not installed.

    Args:
        folder: Where the event files go.
        wanted: Whether this process is the one that writes.
        after_epoch: The last epoch that counts; what a killed run wrote beyond it is hidden.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        wanted = False
    if not wanted:
        yield lambda _row: None
        return
    with SummaryWriter(str(folder), purge_step=after_epoch + 1) as writer:

        def write(row: dict[str, float]) -> None:
            for name, value in row.items():
                writer.add_scalar(name, value, int(row["epoch"]))

        yield write
