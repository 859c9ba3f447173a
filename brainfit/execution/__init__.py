"""Say where work runs, in one value: `Execution`."""

from brainfit.execution.execution import Execution, or_default

__all__ = ["Execution", "or_default"]
