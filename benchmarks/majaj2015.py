"""Benchmarks on V4 and IT of two macaques that were shown objects: Majaj et al. (2015), the open part.

The method is that of Nayebi et al. (2018), who used the full recording. `brainfit data fetch majaj2015`
downloads the data.
"""

from brainfit.contracts.benchmark import Benchmark


def majaj2015(region: str) -> Benchmark:
    """Return the benchmark on one region of Majaj et al. (2015)."""
    return Benchmark(
        name=f"majaj2015-{region}",
        recording="majaj2015",
        region=region,
        version=2,
        reference="Majaj et al. (2015), doi:10.1523/JNEUROSCI.5181-14.2015; "
        "method of Nayebi et al. (2018), arXiv:1807.00053",
    )
