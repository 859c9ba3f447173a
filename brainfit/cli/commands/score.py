"""``brainfit score``: score a model's layer against a region of a recording."""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brainfit.cli import options
from brainfit.cli.output import note, number, print_json, print_table, user_code
from brainfit.contracts.vocabulary import (
    DEVICES,
    MAPPINGS,
    PRECISIONS,
    RANDOM_WEIGHTS,
    UNKNOWN_WEIGHTS,
    ControlName,
    MappingName,
    Precision,
)
from brainfit.errors import IntegrityError
from brainfit.registry import lookup
from brainfit.report import run_folder

if TYPE_CHECKING:
    from brainfit.contracts.benchmark import Benchmark
    from brainfit.contracts.model import Model
    from brainfit.contracts.recording import Recording
    from brainfit.scoring.result import Score

LONGEST_NAME = 120
"""Bytes of a run's default name; file systems allow 255, and hidden names beside it are longer."""


def score(
    model: options.Model,
    region: Annotated[
        str | None,
        typer.Option(help=f"{options.REGION_HELP} Required unless --benchmark is given."),
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            help="A name of `brainfit list benchmarks`, instead of --region, --recording, --mapping, "
            "--control, --project, --on-ms, --off-ms, --split and --test-fraction."
        ),
    ] = None,
    recording: Annotated[
        str | None,
        typer.Option(
            help="A name of `brainfit list recordings` or the path of a recording's file.",
            show_default="simulated",
        ),
    ] = None,
    presentations: options.Presentations = None,
    regions: options.Regions = None,
    split: options.Split = None,
    test_fraction: Annotated[
        float | None,
        typer.Option(
            help="Share of each object's images that is held out, where the split is drawn.",
            show_default="0.25",
        ),
    ] = None,
    on_ms: options.OnMs = None,
    off_ms: options.OffMs = None,
    layer: options.Layer = None,
    mapping: options.Mapping = None,
    control: options.Control = None,
    project: options.Project = None,
    weights: options.Weights = None,
    images: options.Images = None,
    image_size: options.ImageSize = None,
    batch_size: options.BatchSize = None,
    device: options.Device = DEVICES[0],
    precision: options.Precision = PRECISIONS[0],
    no_cache: options.NoCache = False,
    seed: options.Seed = 0,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run; an earlier run there is replaced.", show_default="runs/ and a name"
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Score a model against a region of a recording, in time.

    Fits one linear regression from one layer for all time bins on three quarters of the images, compares its
    prediction with the responses to the other images, and writes score.nc, score.json, report.html and
    figures/ to the run's folder. The last line printed is the report's path.

    Features of the model are kept: a run that was interrupted continues where it stopped, and another region
    or mapping does not compute them again. See `brainfit cache --help`.

    Example: brainfit score --model median_convrnn --region pIT
    """
    settings = (control, project, on_ms, off_ms, split, test_fraction)
    chosen = _benchmark(benchmark, region, recording, mapping, settings)
    if project is not None and mapping == "factorized":
        raise typer.BadParameter(
            "--mapping factorized needs the channel and position of each feature, which --project mixes; "
            "choose another mapping, or leave --project out"
        )
    if out is not None:
        run_folder.prepare_run(out)

    with user_code():
        net = build_model(model, weights, image_size, seed)
        data = options.load_recording(
            chosen.recording,
            images=images,
            presentations=presentations,
            regions=regions,
            on_ms=on_ms,
            off_ms=off_ms,
            split=split,
        )
    if data.simulated:
        note(f"the recording {data.name!r} is simulated: the score says nothing about brains")
    shown = [
        "" if on_ms is None else f"on{on_ms}ms",
        "" if off_ms is None else f"off{off_ms}ms",
        split or "",
        "" if test_fraction is None else f"{test_fraction:g}test",
    ]
    folder = run_folder.prepare_run(
        _default_folder(
            net,
            data,
            chosen,
            layer,
            control,
            project,
            _unless_default(model, weights),
            seed,
            images,
            image_size,
            precision,
            shown,
        )
        if out is None
        else out
    )

    import brainfit.report.write  # noqa: F401 - a failing import is better noticed now than after the work
    from brainfit.scoring.score import score as compute

    with user_code():
        result = compute(
            net,
            data,
            region=chosen.region,
            layer="committed" if layer is None else layer,
            mapping=chosen.mapping,
            control=control,
            projection=project,
            presentation=chosen.presentation if benchmark else None,
            test_fraction=chosen.test_fraction if test_fraction is None else test_fraction,
            benchmark=benchmark,
            n_images=images,
            seed=seed,
            execution=options.execution(
                device=device, precision=precision, batch_size=batch_size, no_cache=no_cache
            ),
        )
    provenance = {**result.info["provenance"], "command": shlex.join(["brainfit", *sys.argv[1:]])}
    if benchmark:
        facts = ("version", "reference")
        provenance["benchmark"] = {key: asdict(chosen)[key] for key in facts}
    result = replace(result, info={**result.info, "provenance": provenance})
    try:
        report = run_folder.write_run(result, folder, replace=out is not None)
    except IntegrityError:  # the work is done, so its result is shown even if no file can be written
        if as_json:
            print_json(result.to_dict())
        else:
            _print_summary(result)
        raise
    if report.parent != folder:
        note(f"{folder} holds another run; this one is in {report.parent}")
    if as_json:
        print_json({**result.to_dict(), "run": str(report.parent), "report": str(report)})
    else:
        _print_summary(result)
        typer.echo(report)


def _benchmark(
    name: str | None,
    region: str | None,
    recording: str | None,
    mapping: MappingName | None,
    settings: tuple[object, ...],
) -> Benchmark:
    from brainfit.contracts.benchmark import Benchmark

    if name is None:
        if region is None:
            raise typer.BadParameter(
                "give the region to score against, such as --region pIT, or a --benchmark"
            )
        recording = "simulated" if recording is None else recording
        return Benchmark("", recording, region, mapping=mapping or MAPPINGS[0])
    if any(option is not None for option in (region, recording, mapping, *settings)):
        raise typer.BadParameter(
            "a --benchmark sets --region, --recording, --mapping, --control, --project, --on-ms, --off-ms, "
            "--split and --test-fraction; leave them out"
        )
    return lookup.load_benchmark(name)


def build_model(name: str, weights: str | None, image_size: int | None, seed: int) -> Model:
    """Build a model with the given options, and with the seed if its factory takes one."""
    given: dict[str, Any] = {}
    if weights is not None and (weights != RANDOM_WEIGHTS or lookup.model_takes(name, "weights")):
        given["weights"] = weights
    if image_size is not None:
        given["image_size"] = image_size
    if lookup.model_takes(name, "seed"):
        given["seed"] = seed
    return lookup.load_model(name, **given)


def _unless_default(name: str, weights: str | None) -> str | None:
    """Return the weights that were asked for, or None if models of the catalogue have them by default."""
    entry = lookup.list_models().get(name)
    return None if weights == (entry.weights[0] if entry else RANDOM_WEIGHTS) else weights


def _default_folder(
    model: Model,
    recording: Recording,
    benchmark: Benchmark,
    layer: str | None,
    control: ControlName | None,
    project: int | None,
    weights: str | None,
    seed: int,
    images: int | None,
    image_size: int | None,
    precision: Precision,
    shown: list[str],
) -> Path:
    """Name a run by what was scored and by the options that differ from their defaults."""
    parts = [
        model.name,
        "" if benchmark.recording == "simulated" else recording.name,
        benchmark.region,
        model.region_layers.get(benchmark.region, "") if layer is None else layer,
        benchmark.mapping,
        control or "",
        f"{project}projections" if project else "",
        "" if weights is None else Path(weights).name.removesuffix(".safetensors"),
        f"{image_size}px" if image_size else "",
        f"{images}images" if images else "",
        "" if precision == PRECISIONS[0] else precision,
        *shown,
        f"seed{seed}",
    ]
    name = re.sub(r"[^\w.+-]", "_", "-".join(str(part) for part in parts if part))
    return Path("runs", name.encode()[:LONGEST_NAME].decode(errors="ignore"))


def _print_summary(score: Score) -> None:
    summary = score.to_dict()
    info = score.info
    headline = score.headline
    rows = [
        [
            name,
            number(window["image_driven"]),
            " to ".join(dict.fromkeys(map(number, window["image_driven_ci95"]))),
            *(number(window[key]) for key in ("normalized", "time_course", "r", "ceiling")),
        ]
        for name, window in {"pooled": summary["pooled"], **summary["windows"]}.items()
    ]
    recording = f"{info['recording']}{' (simulated)' if info['simulated'] else ''}"
    unsure = [kind for kind in (RANDOM_WEIGHTS, UNKNOWN_WEIGHTS) if info["weights"].startswith(kind)]
    weights = f", {unsure[0]} weights" if unsure else ""
    print_table(
        ["bins", "image-\ndriven", "95 % interval", "with time\ncourse", "time\ncourse", "r", "ceiling"],
        rows,
        title=f"{info['model']} {info['layer']} on {info['region']} of {recording}{weights}: "
        f"image-driven {number(headline['normalized'])}, "
        f"{headline['n_defined']} of {headline['n_units']} units",
    )
