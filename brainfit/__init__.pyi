# What `import brainfit` offers: read by type checkers, and at run time by lazy_loader.
from . import errors, figures, plot
from .analyses.comparison import Difference, compare
from .analyses.inter_animal import inter_animal_consistency
from .analyses.layer_assignment import assign_layers
from .analyses.mapping_consistency import mapping_consistency
from .analyses.noise_ceiling import noise_ceiling
from .analyses.population_solution_times import model_solution_times, neural_solution_times
from .analyses.solution_time_consistency import SpearmanResult, ost_consistency
from .analyses.temporal_generalization import temporal_generalization
from .contracts.benchmark import Benchmark
from .contracts.presentation import Presentation
from .contracts.recording import Recording, check_recording
from .contracts.trajectory import Trajectory
from .execution import Execution
from .features.check_model import check_model
from .registry.lookup import (
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
from .report.run_folder import read_run
from .report.write import write_comparison, write_report
from .scoring.result import Score
from .scoring.score import score
from .statistics.solution_times import object_solution_times

__version__: str

__all__ = [
    "Benchmark",
    "Difference",
    "Execution",
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
