"""List the recordings that can be loaded by name, as plain values: nothing heavy is imported."""

from brainfit.registry.entries import RecordingEntry

CATALOG = {
    "simulated": RecordingEntry(
        target="simulated.recording:simulated",
        summary="Embedded simulation with a known truth: 64 objects, 256 units in V4, pIT, cIT and aIT",
        simulated=True,
    ),
    "simulated-v1": RecordingEntry(
        target="simulated.recording:simulated_v1",
        summary="The first version of the simulation, kept so that its scores can be reproduced",
        simulated=True,
    ),
    "majaj2015": RecordingEntry(
        target="published:majaj2015",
        summary="Majaj et al. 2015, open part: V4, pIT, cIT and aIT of two macaques, 39 windows of 20 ms; "
        "brainfit data fetch majaj2015",
        simulated=False,
    ),
    "majaj2015-static": RecordingEntry(
        target="published:majaj2015_static",
        summary="The same in one window, 70-170 ms; brainfit data fetch majaj2015-static",
        simulated=False,
    ),
    "freemanziemba2013": RecordingEntry(
        target="published:freemanziemba2013",
        summary="Freeman et al. 2013, open part: V1 and V2 of macaques, textures; "
        "brainfit data fetch freemanziemba2013",
        simulated=False,
    ),
}
