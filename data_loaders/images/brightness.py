"""Notice images that are all but black because of their scale."""

from __future__ import annotations

import numpy as np
import xarray as xr

from brainfit.errors import ContractError

from ..files.slabs import blocks


def darkness(stimuli: xr.DataArray) -> str | None:
    """Return a remark on images that are not black, but have no pixel above one step of 255.

    Images that were divided by 255 twice are so, and masks of 0 and 1, which are refused. Usually one image
    is read; more only where it is dark.

    Parameters
    ----------
    stimuli
        Dims ``("image", "height", "width", "channel")``, uint8 or float; may be lazy.

    Raises
    ------
    ContractError
        If the images are uint8 and hold 0 and 1 only.
    """
    if not stimuli.size:
        return None
    n_images, limit, largest = stimuli.sizes["image"], 1 if stimuli.dtype == np.uint8 else 1.5 / 255, 0
    for part in (slice(0, 1), *blocks(n_images, stimuli[:1].nbytes)):
        if (largest := max(largest, stimuli.isel(image=part).values.max())) > limit:
            return None
    if largest == 0:
        return None
    if stimuli.dtype == np.uint8:
        raise ContractError(
            "images are uint8 but hold 0 and 1 only, which is all but black; if 1 is white, multiply by 255"
        )
    return f"all but black: no pixel is brighter than {largest:.4g} of 1; were they divided by 255 twice?"
