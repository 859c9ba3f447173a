"""Every benchmark that brainfit can load by name. Strings and plain values only: nothing is imported."""

from brainfit.registry import BenchmarkEntry

CATALOG = {
    f"simulated-{region}": BenchmarkEntry(
        target=f"simulated:{region.lower()}",
        recording="simulated",
        region=region,
        summary=f"Method of Nayebi et al. 2018 on {area} of the embedded simulation",
    )
    for region, area in {
        "V4": "V4",
        "pIT": "posterior IT",
        "cIT": "central IT",
        "aIT": "anterior IT",
        "IT": "all of IT",
    }.items()
}
