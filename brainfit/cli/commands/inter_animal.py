"""``brainfit inter-animal``: predict one animal's units from another's."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, number, print_json, print_table, user_code

_NUMBERS = ("consistency", "image_driven", "normalized", "r")


def inter_animal(
    region: options.Region,
    recording: options.Recording = "simulated",
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    split: options.Split = None,
    images: options.Images = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the split of the images and of the halves of the trials.")
    ] = 0,
    as_json: options.AsJson = False,
) -> None:
    """Predict one animal's units from another's.

    The regression is fitted and evaluated as for a model, with one animal's units in place of its features.
    Consistency is Pearson's r, corrected for the noise of both animals' trials; image-driven is the same
    without the time course that all images share; normalized is corrected for the noise of the predicted
    units only. Numbers are medians over the units that distinguish images better than chance; a unit that
    cannot be predicted counts as 0.

    Example: brainfit inter-animal --region V4 --recording mine.npz
    """
    from brainfit.analyses.inter_animal import inter_animal_consistency, summary

    with user_code():
        data = options.load_recording(
            recording,
            images=images,
            presentations=presentations,
            regions=regions,
            split=split,
        )
        found = inter_animal_consistency(
            data, region=region, n_images=images, seed=seed, execution=options.execution()
        )
    result = summary(found)
    if result["simulated"]:
        note(f"the recording {data.name!r} is simulated: its animals say nothing about brains")
    if as_json:
        print_json(result)
        return
    rows = [row for one in result["directions"] for row in _rows(f"{one['source']} to {one['target']}", one)]
    print_table(
        ["prediction", "bins", "consistency", "image-\ndriven", "normalized", "r", "units\ndefined"],
        [*rows, *_rows("all", result["pooled"])],
        title=f"{result['region']} of {result['recording']}: "
        f"{result['n_train_images']} training and {result['n_test_images']} test images",
    )
    for line in result["dropped"]:
        note(f"dropped {line}")


def _rows(prediction: str, numbers: dict[str, Any]) -> list[list[str]]:
    """Return a row for each window."""
    return [
        [
            prediction,
            window,
            *(number(found[name]) for name in _NUMBERS),
            f"{found['n_defined']} of {numbers['n_units']}",
        ]
        for window, found in numbers["windows"].items()
    ]
