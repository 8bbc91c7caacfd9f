"""Figures for a paper, and a self-contained HTML report of trainings, evaluations and maps."""

from typing import TYPE_CHECKING

from hviskd.lazy import load_on_use

if TYPE_CHECKING:
    from hviskd.reports.report import write_report
    from hviskd.reports.section import Section

_HOMES = {"Section": "section", "write_report": "report"}

__all__ = ["Section", "write_report"]

__getattr__ = load_on_use(__name__, _HOMES)
