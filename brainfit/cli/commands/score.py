"""``brainfit score``: a model's layer against a region of a recording."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.logs import logged
from brainfit.cli.output import note, others_code, print_json, print_table
from brainfit.contracts.model import holds_image
from brainfit.registry import lookup
from brainfit.report import run_folder

if TYPE_CHECKING:
    from brainfit.contracts.benchmark import Benchmark
    from brainfit.contracts.model import Model
    from brainfit.contracts.recording import Recording
    from brainfit.scoring.result import Score

LONGEST_NAME = 120
"""Bytes of a run's default name, of the 255 that file systems allow, to leave room beside it."""


def score(
    model: options.Model,
    region: Annotated[
        str | None,
        typer.Option(
            help="V1, V2, V4, pIT, cIT, aIT, or IT for the last three. Needed unless --benchmark is given."
        ),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="A name of `brainfit list benchmarks`; use instead of --region, --recording, --mapping, "
            "--control and --project."
        ),
    ] = None,
    recording: Annotated[
        str | None,
        typer.Option(
            help="A name of `brainfit list recordings` or the path of a file.", show_default="simulated"
        ),
    ] = None,
    layer: options.Layer = None,
    mapping: options.ByMapping = None,
    control: options.UnderControl = None,
    project: options.Project = None,
    weights: Annotated[
        str,
        typer.Option(
            help="random: drawn from --seed; or a .safetensors file, or a name of `brainfit weights info`."
        ),
    ] = "random",
    images: options.Images = None,
    image_size: options.ImageSize = None,
    batch_size: options.BatchSize = None,
    device: options.OnDevice = options.Device.cpu,
    precision: options.InPrecision = options.Precision.float32,
    no_cache: options.NoCache = False,
    seed: Annotated[
        int,
        typer.Option(min=0, help="Of the split, the resampling, and the weights of models that draw any."),
    ] = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run's folder; an earlier run there is replaced.", show_default="runs/ and a name"
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Score a model against a region of a recording, in time.

    Fits one linear map from one layer for all time bins on three quarters of the images, compares
    its prediction with the responses to the others, and writes score.nc, score.json, report.html
    and figures/ to the run's folder. The last line printed is the report's path.

    Features of the model are kept, so a run that was killed goes on where it ended, and another region or
    mapping does not compute them again; `brainfit cache` says more.

    Example: brainfit score --model median_convrnn --region pIT
    """
    chosen = _benchmark(benchmark, region, recording, mapping, control, project)
    if project is not None and mapping is options.Mapping.factorized:
        raise typer.BadParameter(
            "--mapping factorized needs each feature's channel and place, which --project mixes: "
            "choose another mapping, or leave --project out"
        )
    if out is not None:
        run_folder.prepare_run(out)

    with others_code():
        net = build_model(model, weights, image_size, seed)
        data = lookup.load_recording(chosen.recording, n_images=images)
    if net.weights.startswith("random"):
        note(f"the weights of {net.name} are random ({net.weights}): the score is a baseline")
    if holds_image(net):
        note(f"{net.name} holds the image for all its steps: it is never shown gray, as the animals were")
    if data.simulated:
        note(f"the recording {data.name!r} is simulated: the score says nothing about a brain")
    folder = run_folder.prepare_run(
        _default_folder(
            net, data, chosen, layer, control, project, weights, seed, images, image_size, precision
        )
        if out is None
        else out
    )

    import brainfit.report.write  # noqa: F401 - if it cannot be imported, better now than after the work
    from brainfit.scoring.score import score as compute

    with others_code(), logged():
        result = compute(
            net,
            data,
            region=chosen.region,
            layer="committed" if layer is None else layer,
            mapping=chosen.mapping,
            control=None if control is None else control.value,
            projection=project,
            presentation=chosen.presentation if benchmark else None,
            test_fraction=chosen.test_fraction,
            benchmark=benchmark,
            n_images=images,
            seed=seed,
            execution=options.execution(
                device=device, precision=precision, batch_size=batch_size, no_cache=no_cache
            ),
        )
    if result.info["provenance"].get("fit", {}).get("converged") is False:
        note("the fit stopped before it converged: the score may be too low")
    provenance = {**result.info["provenance"], "command": shlex.join(["brainfit", *sys.argv[1:]])}
    if benchmark:
        kept = ("version", "split", "metric", "ceiling", "reference")
        provenance["benchmark"] = {key: asdict(chosen)[key] for key in kept}
    result = replace(result, info={**result.info, "provenance": provenance})
    report = run_folder.write_run(result, folder, replace=out is not None)
    if report.parent != folder:
        note(f"{folder} holds something else; the run is in {report.parent}")
    if as_json:
        print_json({**result.to_dict(), "run": str(report.parent), "report": str(report)})
    else:
        _print_summary(result)
        typer.echo(report)


def _benchmark(
    name: str | None,
    region: str | None,
    recording: str | None,
    mapping: options.Mapping | None,
    control: options.Control | None,
    project: int | None,
) -> Benchmark:
    from brainfit.contracts.benchmark import Benchmark

    if name is None:
        if region is None:
            raise typer.BadParameter(
                "say which region to score against, as in --region pIT, or name a --benchmark"
            )
        recording = "simulated" if recording is None else recording
        return Benchmark("", recording, region, mapping=(mapping or options.Mapping.ridge).value)
    if any(option is not None for option in (region, recording, mapping, control, project)):
        raise typer.BadParameter(
            "a --benchmark has its own --region, --recording and --mapping, and one map for all bins and "
            "features: leave them out"
        )
    return lookup.load_benchmark(name)


def build_model(name: str, weights: str, image_size: int | None, seed: int) -> Model:
    """Build the model with what was asked for, and with the seed if it has anything to draw."""
    asked: dict[str, Any] = {}
    if weights != "random":
        asked["weights"] = weights
    if image_size is not None:
        asked["image_size"] = image_size
    if lookup.model_takes(name, "seed"):
        asked["seed"] = seed
    return lookup.load_model(name, **asked)


def _default_folder(
    model: Model,
    recording: Recording,
    benchmark: Benchmark,
    layer: str | None,
    control: options.Control | None,
    project: int | None,
    weights: str,
    seed: int,
    images: int | None,
    image_size: int | None,
    precision: options.Precision,
) -> Path:
    """Name the run by what was scored, and what was not left at its default."""
    parts = [
        model.name,
        "" if benchmark.recording == "simulated" else recording.name,
        benchmark.region,
        model.region_layers.get(benchmark.region, "") if layer is None else layer,
        benchmark.mapping,
        "" if control is None else control.value,
        f"{project}projections" if project else "",
        "" if weights == "random" else Path(weights).name.removesuffix(".safetensors"),
        f"{image_size}px" if image_size else "",
        f"{images}images" if images else "",
        "" if precision is options.Precision.float32 else precision.value,
        f"seed{seed}",
    ]
    name = re.sub(r"[^\w.+-]", "_", "-".join(str(part) for part in parts if part))
    return Path("runs", name.encode()[:LONGEST_NAME].decode(errors="ignore"))


def _print_summary(score: Score) -> None:
    summary = score.to_dict()
    info = score.info
    defined = int(score.data["window_normalized"].sel(window="pooled").notnull().sum())
    rows = [
        [
            name,
            *(_number(window[key]) for key in ("r", "ceiling", "normalized")),
            " to ".join(dict.fromkeys(map(_number, window["ci95"]))),
            *(_number(window[key]) for key in ("time_course", "image_driven")),
        ]
        for name, window in {"pooled": summary["pooled"], **summary["windows"]}.items()
    ]
    of = f"{info['recording']}{' (simulated)' if info['simulated'] else ''}"
    weights = ", random weights" if info["weights"].startswith("random") else ""
    print_table(
        ["bins", "r", "ceiling", "normalized", "95 % interval", "time\ncourse", "image-\ndriven"],
        rows,
        title=f"{info['model']} {info['layer']} on {info['region']} of {of}{weights}: "
        f"normalized {_number(summary['pooled']['normalized'])}, {defined} of {summary['n_units']} units",
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
