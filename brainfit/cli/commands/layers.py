"""``brainfit layers``: find the layer of a model that belongs to each region."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.commands.score import build_model
from brainfit.cli.output import note, print_json, print_table, user_code
from brainfit.cli.pictures import SUFFIXES, check_picture, save_picture
from brainfit.contracts.vocabulary import DEVICES, PRECISIONS

if TYPE_CHECKING:
    from brainfit.analyses.layer_assignment import LayerAssignment


def layers(
    model: options.Model,
    recording: options.Recording = "simulated",
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    split: options.Split = None,
    on_ms: options.OnMs = None,
    off_ms: options.OffMs = None,
    region: Annotated[
        list[str] | None,
        typer.Option(help=f"{options.REGION_HELP.removesuffix('.')}; may be repeated.", show_default="all"),
    ] = None,
    images: options.Images = None,
    weights: options.Weights = None,
    image_size: options.ImageSize = None,
    batch_size: options.BatchSize = None,
    device: options.Device = DEVICES[0],
    precision: options.Precision = PRECISIONS[0],
    no_cache: options.NoCache = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split, the folds and random weights.")] = 0,
    figure: Annotated[
        Path | None,
        typer.Option(help=f"File to draw the votes to ({', '.join(SUFFIXES)}).", show_default="no figure"),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Find the layer of a model that belongs to each region.

    Each unit votes for the layer that predicts it best on training images, and each region chooses the layer
    with the most votes. Images that `brainfit score` with the same --seed holds out are not used.
    The loss is squared error over variance; a unit with a loss of 1 or more for every layer does not vote.

    Example: brainfit layers --model ff --region V4 --region pIT
    """
    if figure is not None:
        check_picture(figure)
    from brainfit.analyses.layer_assignment import assign_layers

    with user_code():
        net = build_model(model, weights, image_size, seed)
        data = options.load_recording(
            recording,
            images=images,
            presentations=presentations,
            regions=regions,
            on_ms=on_ms,
            off_ms=off_ms,
            split=split,
        )
        found = assign_layers(
            net,
            data,
            regions=region,
            n_images=images,
            seed=seed,
            execution=options.execution(
                device=device, precision=precision, batch_size=batch_size, no_cache=no_cache
            ),
        )
    if net.weights.startswith("random"):
        note(f"the weights of {net.name} are random")
    if data.simulated:
        note(f"the recording {data.name!r} is simulated: the choice says nothing about brains")
    for layer in found["layer"].values[~found["converged"].values]:
        note(f"layer {layer}: the fit stopped before it converged, so its loss may be too high")
    if figure is not None:
        from brainfit.figures import layer_votes

        save_picture(layer_votes(found), figure)
    if as_json:
        print_json(_summary(found))
    else:
        _print(found)
        if figure is not None:
            typer.echo(figure)


def _summary(result: LayerAssignment) -> dict[str, Any]:
    """Return the votes as plain values; None for a region to which the model commits no layer."""
    found, regions = result.data, {}
    for name in found["region"].values.tolist():
        at = found.sel(region=name)
        of_region = at["unit_layer"].values[at["unit_region"].values == name]
        regions[name] = {
            "chosen": at["chosen"].item(),
            "plain_chosen": at["plain_chosen"].item(),
            "committed": at["committed"].item() or None,
            "tied": at["tied"].item(),
            "n_units": len(of_region),
            "n_undecided": int((of_region == "").sum()),
            "layers": {
                layer: {key: at[key].sel(layer=layer).item() for key in ("share", "votes", "median_loss")}
                for layer in at["layer"].values.tolist()
            },
        }
    return {**result.info, "regions": regions}


def _print(found: LayerAssignment) -> None:
    summary = _summary(found)
    regions = summary["regions"]
    rows = [
        [layer, *(_cell(region["layers"][layer]) for region in regions.values())]
        for layer in found["layer"].values.tolist()
    ]
    labels = {"chosen": "chosen", "plain_chosen": "with the time\ncourse", "committed": "committed"}
    rows += [[label, *(region[key] or "–" for region in regions.values())] for key, label in labels.items()]
    heads = [f"{name}\n{region['n_units']} units" for name, region in regions.items()]
    print_table(
        ["share of units\nmedian loss", *heads],
        rows,
        title=f"Layers of {summary['model']} that units of {summary['recording']} choose, "
        f"by {summary['n_train_images']} training images",
    )
    for name, region in regions.items():
        if len(region["layers"]) == 1:
            note(f"{name}: {region['chosen']} was the only candidate, so nothing was chosen by votes")
        elif region["n_undecided"] == region["n_units"]:
            note(f"{name}: no unit voted; the lowest median loss decided")
        elif region["tied"]:
            note(f"{name}: two or more layers had equally many votes; the lowest median loss decided")
        if region["n_undecided"]:
            note(f"{name}: {region['n_undecided']} units did not vote, because no layer predicts them")
    for line in summary["dropped"]:
        note(f"dropped {line}")


def _cell(votes: dict[str, Any]) -> str:
    return f"{votes['share']:.0%}, {votes['median_loss']:.3f}"
