"""Every recording that can be loaded by name. Strings and plain values only: nothing heavy is imported."""

from brainfit.registry import RecordingEntry

CATALOG = {
    "simulated": RecordingEntry(
        target="simulated.recording:simulated",
        summary="Embedded simulation with a known truth: 64 objects, 256 units in V4, pIT, cIT and aIT",
        simulated=True,
    ),
}
