"""Running: where a long job is done: in this process, as one part of several, or on a Dask cluster.

A job says how its pieces are done, and a `Running` where: `running.run(job, pieces)`. Neither knows of the other. Dask
itself is imported when a cluster is used.
"""

from hviskd.running.here import Here
from hviskd.running.job import Job, Running, Undemanding
from hviskd.running.on_dask import Dask
from hviskd.running.part import Part

__all__ = ["Dask", "Here", "Job", "Part", "Running", "Undemanding"]
