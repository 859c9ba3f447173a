"""Benchmarks on the embedded simulation: its truth is known, so they test methods, not brains."""

from brainfit.contracts.benchmark import Benchmark


def v4() -> Benchmark:
    """V4 of the simulated recording."""
    return _simulated("V4")


def pit() -> Benchmark:
    """Posterior IT of the simulated recording."""
    return _simulated("pIT")


def cit() -> Benchmark:
    """Central IT of the simulated recording."""
    return _simulated("cIT")


def ait() -> Benchmark:
    """Anterior IT of the simulated recording."""
    return _simulated("aIT")


def it() -> Benchmark:
    """All of IT of the simulated recording."""
    return _simulated("IT")


def _simulated(region: str) -> Benchmark:
    return Benchmark(
        name=f"simulated-{region}",
        recording="simulated",
        region=region,
        reference="Nothing was recorded; the method is that of Nayebi et al. (2018), arXiv:1807.00053",
    )
