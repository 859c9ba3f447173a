"""Benchmarks on the embedded simulation: its truth is known, so they test methods, not brains."""

from brainfit.contracts.benchmark import Benchmark


def simulated(region: str) -> Benchmark:
    """Return the benchmark on one region of the simulated recording."""
    return Benchmark(
        name=f"simulated-{region}",
        recording="simulated",
        region=region,
        version=2,
        reference="Nothing was recorded; the method is that of Nayebi et al. (2018), arXiv:1807.00053",
    )
