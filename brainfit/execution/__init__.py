"""Where work runs: one value, `Execution`, says it."""

from brainfit.execution.execution import Execution, or_default

__all__ = ["Execution", "or_default"]
