"""Benchmarks are frozen descriptions that the catalogue lists and `brainfit score` runs."""

import dataclasses
import json

import numpy as np
import pytest
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.contracts.benchmark import Benchmark
from brainfit.contracts.presentation import Presentation
from brainfit.contracts.vocabulary import MAPPINGS
from brainfit.errors import ContractError, UnknownNameError
from brainfit.registry import lookup

REGIONS = {
    "simulated": ["V4", "pIT", "cIT", "aIT", "IT"],
    "majaj2015": ["V4", "pIT", "cIT", "aIT", "IT"],
    "freemanziemba2013": ["V1", "V2"],
}
NAMES = [f"{recording}-{region}" for recording, regions in REGIONS.items() for region in regions]


def test_each_region_has_a_benchmark():
    assert list(lookup.list_benchmarks()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_fixes_all_that_two_scores_must_share(name):
    benchmark = lookup.load_benchmark(name)
    recording, _, region = name.rpartition("-")
    assert (benchmark.name, benchmark.recording, benchmark.region) == (name, recording, region)
    assert (benchmark.test_fraction, benchmark.mapping, benchmark.version) == (0.25, "ridge", 2)
    gray = 100 if recording == "freemanziemba2013" else 150
    assert benchmark.presentation == Presentation(on_ms=100, off_ms=gray)
    assert "arXiv:1807.00053" in benchmark.reference
    assert ("doi" in benchmark.reference) == (recording != "simulated")
    with pytest.raises(dataclasses.FrozenInstanceError):
        benchmark.region = "V4"  # pyright: ignore[reportAttributeAccessIssue]


def test_loading_a_benchmark_loads_no_data(monkeypatch):
    monkeypatch.setattr("data_loaders.published._load", lambda name: pytest.fail("it was loaded"))
    for name in NAMES:
        lookup.load_benchmark(name)


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"region": "PIT"}, UnknownNameError, "unknown region 'PIT'; did you mean .*'pIT'"),
        ({"region": 4}, ContractError, "region is text"),
        ({"mapping": "rigde"}, UnknownNameError, "did you mean 'ridge'"),
        ({"test_fraction": 1.0}, ContractError, "test_fraction is a number strictly between 0 and 1"),
        ({"version": 0}, ContractError, "version is a whole number from 1 up"),
        ({"name": "a\nb"}, ContractError, "the name of a benchmark is text"),
    ],
)
def test_invalid_benchmarks_are_refused(change, error, says):
    with pytest.raises(error, match=says):
        Benchmark(**{"name": "mine", "recording": "simulated", "region": "pIT", **change})


@pytest.mark.parametrize("mapping", MAPPINGS)
def test_a_benchmark_can_name_any_mapping(mapping):
    assert Benchmark("mine", "simulated", "IT", mapping=mapping).mapping == mapping


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="brainfit")


def test_the_list_shows_version_and_reference(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    table = run("list", "benchmarks").stdout
    for name in NAMES:
        (line,) = (line for line in table.splitlines() if line.split()[:1] == [name])
        assert line.split()[1] == "2"
        assert lookup.list_benchmarks()[name].reference in line
    rows = json.loads(run("list", "benchmarks", "--json").stdout)
    assert set(rows[0]) == {"name", "recording", "region", "version", "summary", "reference"}


@pytest.mark.parametrize("region", ["pIT", "IT"])
def test_score_runs_a_benchmark_by_name(monkeypatch, tmp_path, region):
    monkeypatch.chdir(tmp_path)
    tiny = {"model": {"tiny": TinyModel}, "recording": {"majaj2015": tiny_recording}, "benchmark": {}}
    monkeypatch.setattr(lookup, "_REGISTERED", tiny)
    layer = () if region == "pIT" else ("--layer", "small")
    result = run("score", "--model", "tiny", "--benchmark", f"majaj2015-{region}", *layer, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert (printed["benchmark"], printed["region"], printed["mapping"]) == (
        f"majaj2015-{region}",
        region,
        "ridge",
    )
    assert np.isfinite(printed["pooled"]["r"])


def test_missing_data_name_the_command_that_fetches_them(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path))
    monkeypatch.setattr(
        lookup, "_REGISTERED", {"model": {"tiny": TinyModel}, "recording": {}, "benchmark": {}}
    )
    result = run(
        "score",
        "--model",
        "tiny",
        "--benchmark",
        "freemanziemba2013-V1",
        "--layer",
        "small",
        "--out",
        tmp_path / "run",
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert "run `brainfit data fetch freemanziemba2013`" in result.stderr
    assert "--recording PATH" in result.stderr
