"""Every set of names that users choose from, each written once. Imports nothing of brainfit."""

from typing import Literal, get_args

Region = Literal["V1", "V2", "V4", "pIT", "cIT", "aIT"]
REGIONS: tuple[Region, ...] = get_args(Region)
"""Regions that a unit can belong to, from early to late in the ventral stream."""
IT_REGIONS: tuple[Region, ...] = REGIONS[-3:]
"""The parts of inferior temporal cortex, which ``"IT"`` stands for."""
REGION_CHOICES = (*REGIONS, "IT")
"""Regions that can be scored."""

Split = Literal["recording", "drawn"]
SPLITS: tuple[Split, ...] = get_args(Split)
"""Where the split into training and test images comes from: the recording's own, or a draw."""

MappingName = Literal["ridge", "sgd", "pls", "factorized"]
MAPPINGS: tuple[MappingName, ...] = get_args(MappingName)
"""Regressions from features to responses; the first is the default."""

ControlName = Literal["per-bin", "time-shuffled", "graded"]
CONTROLS: tuple[ControlName, ...] = get_args(ControlName)
"""Controls for claims about time."""

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Floating-point types that a model can compute in; the first is the default."""

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = get_args(Device)
"""Devices that a model can run on; the first is the default."""

ReportFormat = Literal["html", "pdf", "png", "svg", "md"]
REPORT_FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)
"""File formats of a report; the first is the default."""

FigureFormat = Literal["svg", "png", "pdf"]
FIGURE_FORMATS: tuple[FigureFormat, ...] = get_args(FigureFormat)
"""File formats of a single figure, which are also the endings of its file's name."""

WrittenLayout = Literal["netcdf", "brainio"]
WRITTEN_LAYOUTS: tuple[WrittenLayout, ...] = get_args(WrittenLayout)
"""Layouts that a recording can be written in; the first is the default."""
LAYOUTS = ("npz", *WRITTEN_LAYOUTS, "hvm", "nwb", "matlab")
"""Layouts that a recording can be read from."""

CatalogKind = Literal["models", "recordings", "benchmarks"]
CATALOG_KINDS: tuple[CatalogKind, ...] = get_args(CatalogKind)
"""Kinds of things that have a name in a catalogue."""

WINDOWS = {"early": (70, 130), "late": (130, 200)}
"""Windows of the response, in ms from image onset, as in Kar et al. (2019) and Nayebi et al. (2022)."""

RANDOM_WEIGHTS = "random"
"""Weights drawn from a seed; in results ``"random:<seed>"``."""
TRAINED_ON_OBJECTS = "brainfit train, task objects"
"""Beginning of the origin of weights that `brainfit train` left after training on rendered objects."""
UNKNOWN_WEIGHTS = "unknown"
"""Weights of a model that does not say where they are from."""
