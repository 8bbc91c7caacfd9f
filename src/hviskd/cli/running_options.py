"""The options of where a verb's pieces are done, shared by the verbs that a cluster can do."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hviskd.errors import DataError

if TYPE_CHECKING:
    from hviskd.running import Dask

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="local:N|ADDRESS|FILE.json",
        help="Run on the workers of a Dask cluster, each with one slide or training at a time; needs hviskd[dask].",
    ),
]
Retries = Annotated[
    int | None,
    typer.Option(
        "--retries",
        help="How often a slide or training is tried again if its Dask worker dies.",
        show_default="2",
    ),
]


def cluster(scheduler: str | None, retries: int | None, report: Callable[[Any], None] | None = None) -> "Dask | None":
    """Return the cluster that was asked for; None if none was.

    Raises:
        DataError: There are retries, but no cluster.
    """
    if scheduler is None:
        if retries is not None:
            raise DataError(f"`retries={retries}`: needs `scheduler`; without it, no worker can die")
        return None
    from hviskd.running import Dask

    return Dask(scheduler, report=report) if retries is None else Dask(scheduler, retries, report)
