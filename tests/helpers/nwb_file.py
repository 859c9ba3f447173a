"""Write small NWB files with pynwb, and count their spikes by brute force."""

# pynwb makes its classes when it is imported, which pyright cannot follow.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false

import datetime
import warnings

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.base import ImageReferences, Images
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject
from pynwb.image import GrayscaleImage, ImageSeries, RGBImage

LOCATIONS = ("V4", "pit", "AIT", "FEF", "v1")


def write_nwb(
    path,
    *,
    spikes,
    onsets,
    images,
    pixels=None,
    id_column="image_id",
    columns=None,
    locations=LOCATIONS,
    electrodes=None,
    observed=None,
    template="images",
    change=None,
):
    """Write them.

    `spikes` are times for each unit, `images` what was shown at each of `onsets`, `pixels` by name or, for a
    series, an array; `template` says how they are stored; `change` may do more before the file is written.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
        subject = Subject(subject_id="Chabo", species="Macaca mulatta", age="P5Y", sex="M")
        nwb = NWBFile("a session", "one", start, subject=subject)
        group = nwb.create_electrode_group("array A", "d", "IT", nwb.create_device("device"))
        for location in locations:
            nwb.add_electrode(location=location, group=group)
        for unit, times in enumerate(spikes):
            more = {} if observed is None else {"obs_intervals": observed[unit]}
            nwb.add_unit(
                spike_times=times, electrodes=electrodes[unit] if electrodes else [unit], id=10 + unit, **more
            )
        if images is not None:
            nwb.add_time_intervals(intervals("presentations", onsets, {id_column: images, **(columns or {})}))
        if template == "images" and pixels is not None:
            nwb.add_stimulus_template(collection("pictures", pixels))
        elif template == "series":
            nwb.add_stimulus_template(
                ImageSeries(name="pictures", data=pixels, unit="n.a.", format="raw", rate=1.0)
            )
        if change is not None:
            change(nwb)
        with NWBHDF5IO(path, "w") as io:
            io.write(nwb)


def intervals(name, onsets, columns):
    table = TimeIntervals(name, "what was shown")
    for column in columns:
        table.add_column(column, "of the image")
    for k, onset in enumerate(onsets):
        row = {column: values[k] for column, values in columns.items()}
        table.add_row(start_time=onset, stop_time=onset + 0.1, **row)
    return table


def collection(name, pixels, ordered=False):
    made = [
        (GrayscaleImage if image.ndim == 2 else RGBImage)(name=key, data=image)
        for key, image in pixels.items()
    ]
    order = ImageReferences(name="order_of_images", data=made) if ordered else None
    return Images(name, images=made, description="shown", order_of_images=order)


def counts(spikes, onsets, edges_ms):
    """Count spikes of one unit per onset and bin, shape (onset, bin); no spike may lie on an edge."""
    return np.array([np.histogram(spikes, onset + np.asarray(edges_ms) / 1000)[0] for onset in onsets])
