# What `import brainfit` offers: read by type checkers, and at run time by lazy_loader.
from . import errors, figures, plot
from .benchmark import Benchmark
from .check_model import check_model
from .comparison import Difference, compare
from .inter_animal import inter_animal_consistency
from .layer_assignment import assign_layers
from .mapping_consistency import mapping_consistency
from .noise_ceiling import noise_ceiling
from .object_solution_times import object_solution_times
from .population_solution_times import model_solution_times, neural_solution_times
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
from .report import write_comparison, write_report
from .result import Score
from .runs import read_run
from .scoring import score
from .solution_time_consistency import SpearmanResult, ost_consistency
from .temporal_generalization import temporal_generalization
from .trajectory import Trajectory

__version__: str

__all__ = [
    "Benchmark",
    "Difference",
    "Presentation",
    "Recording",
    "Score",
    "SpearmanResult",
    "Trajectory",
    "assign_layers",
    "check_model",
    "check_recording",
    "compare",
    "errors",
    "figures",
    "inter_animal_consistency",
    "list_benchmarks",
    "list_models",
    "list_recordings",
    "load_benchmark",
    "load_model",
    "load_recording",
    "mapping_consistency",
    "model_solution_times",
    "neural_solution_times",
    "noise_ceiling",
    "object_solution_times",
    "ost_consistency",
    "plot",
    "read_run",
    "register_benchmark",
    "register_model",
    "register_recording",
    "score",
    "temporal_generalization",
    "write_comparison",
    "write_report",
]
