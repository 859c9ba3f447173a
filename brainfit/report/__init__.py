"""The report of a score: one self-contained page, and its figures as files."""

from brainfit.report.write import write_report

__all__ = ["write_report"]
