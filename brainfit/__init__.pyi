# What `import brainfit` offers: read by type checkers, and at run time by lazy_loader.
from . import errors
from .benchmark import Benchmark
from .check_model import check_model
from .comparison import Difference, compare
from .noise_ceiling import noise_ceiling
from .presentation import Presentation
from .recording import Recording, check_recording
from .registry import (
    list_benchmarks,
    list_models,
    list_recordings,
    load_benchmark,
    load_model,
    load_recording,
    register_benchmark,
    register_model,
    register_recording,
)
from .report import write_report
from .result import Score
from .scoring import score
from .trajectory import Trajectory

__version__: str

__all__ = [
    "Benchmark",
    "Difference",
    "Presentation",
    "Recording",
    "Score",
    "Trajectory",
    "check_model",
    "check_recording",
    "compare",
    "errors",
    "list_benchmarks",
    "list_models",
    "list_recordings",
    "load_benchmark",
    "load_model",
    "load_recording",
    "noise_ceiling",
    "register_benchmark",
    "register_model",
    "register_recording",
    "score",
    "write_report",
]
