"""Reports of one score or of several: one self-contained page, and its figures as files."""

from brainfit.report.write import write_comparison, write_report

__all__ = ["write_comparison", "write_report"]
