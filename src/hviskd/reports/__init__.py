"""What is shown to others: the figures of a paper, and one self-contained page about trainings, tests and maps."""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.reports.report import write_report
    from hviskd.reports.section import Section

_HOMES = {"Section": "section", "write_report": "report"}

__all__ = ["Section", "write_report"]

__getattr__ = load_on_use(__name__, _HOMES)
