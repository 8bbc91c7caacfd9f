"""Running: where the pieces of a long job are done: in this process, or as one part of several.

A job says how its pieces are done, and a `Running` where: `running.run(job, pieces)`. Neither knows of the other.
"""

from hviskd.running.here import Here
from hviskd.running.job import Job, Running
from hviskd.running.part import Part

__all__ = ["Here", "Job", "Part", "Running"]
