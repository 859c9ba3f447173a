"""Every set of names that users choose from, each said once. Imports nothing."""

REGIONS = ("V1", "V2", "V4", "pIT", "cIT", "aIT")
"""Regions that a unit can belong to, from early to late in the ventral stream."""
IT_REGIONS = ("pIT", "cIT", "aIT")
"""The parts of inferior temporal cortex, which ``"IT"`` stands for."""
REGION_CHOICES = (*REGIONS, "IT")
"""Regions that can be scored."""
MAPPINGS = ("ridge", "sgd", "pls", "factorized")
"""Regressions from features to responses."""
CONTROLS = ("per-bin", "time-shuffled", "graded")
"""Controls for claims about time."""
PRECISIONS = ("float32", "bfloat16")
"""Kinds of floating-point numbers that a model can compute in."""
DEVICES = ("cpu", "cuda")
"""Devices that a model can run on."""
