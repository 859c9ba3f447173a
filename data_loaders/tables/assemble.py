"""Make a recording of responses and the labels that tables have for images and units."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from brainfit.contracts.recording import Recording
from brainfit.errors import ContractError
from brainfit.support.messages import printable

from ..arrays.coercion import pixels_of
from ..arrays.recording import label_recording
from ..images.named import images_by_id, rows_by_id

IMAGE_LABELS = ("object_name", "category_name", "variation", "split")
UNIT_LABELS = ("region", "animal", "array")
_GROUPS = ("animal", "session")


def assemble(
    name: str,
    values: np.ndarray,
    images: ArrayLike | str | os.PathLike[str],
    image_id: ArrayLike | None,
    labels: Mapping[str, Any],
    settings: Mapping[str, Any],
    regions: Mapping[str, str] | None,
    provenance: Mapping[str, Any],
) -> Recording:
    """Return a recording of responses (image, trial, unit, time_bin) with their images.

    Parameters
    ----------
    name, images, image_id, regions
        As for `from_spikes`.
    values
        Responses.
    labels
        Labels by the names of arguments of `from_arrays`; those that are None were not given.
    settings
        Arguments ``response_window``, ``on_ms`` and ``off_ms`` of `from_arrays`.
    provenance
        Entries for the recording's provenance.
    """
    ids = labels["image_id"].tolist()
    if isinstance(images, str | os.PathLike):
        if image_id is not None:
            raise ContractError("image_id is for images that are an array; leave it out for files")
        stimuli, columns = images_by_id(images, ids)
    elif image_id is None:
        raise ContractError("give image_id with an array of images: the id of each, as presentations has it")
    else:
        pixels = pixels_of(images)
        rows = rows_by_id(image_id, ids)
        if len(np.asarray(image_id)) != len(pixels):
            raise ContractError(
                f"image_id has {len(np.asarray(image_id))} entries for {len(pixels)} images; give one each"
            )
        stimuli, columns = xr.DataArray(pixels[rows], dims=("image", "height", "width", "channel")), {}
    given = {key: value for key, value in labels.items() if value is not None}
    found = label_recording(
        name,
        xr.Variable(("image", "trial", "unit", "time_bin"), values),
        stimuli,
        {**columns, **given},
        settings,
        regions,
    )
    return replace(found, provenance={**found.provenance, **provenance})


def labels_of_units(
    of_table: Mapping[str, np.ndarray], given: ArrayLike | str | None, units: np.ndarray
) -> dict[str, Any]:
    """Return the labels of units; a region that is given stands for all and wins over no column.

    Raises
    ------
    ContractError
        If the region is both a column and given, or a list.
    """
    if given is None:
        return {"unit_id": units, **of_table}
    if "region" in of_table:
        raise ContractError("region is a column of the units already; leave the argument region out")
    if not isinstance(given, str):
        raise ContractError(
            f"region is {printable(repr(given), 60)}; wanted one name for all units; give a column region in "
            "the table of units for several"
        )
    return {"unit_id": units, **of_table, "region": given}


def shared_groups(tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return those of animal and session that all tables have as columns.

    Raises
    ------
    ContractError
        If one table has several animals or sessions and another one does not say whose its rows are.
    """
    shared = []
    for name in _GROUPS:
        having = [key for key, table in tables.items() if name in table.columns]
        if len(having) == len(tables):
            shared.append(name)
            continue
        for key in having:
            if len(set(tables[key][name].tolist())) > 1:
                lacking = next(other for other in tables if other not in having)
                raise ContractError(
                    f"{key} has several values of {name}, but {lacking} has no column {name}; add it, so "
                    "that units are not counted in trials of others"
                )
    return shared
