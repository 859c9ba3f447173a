"""The benchmark harness, and that its workloads run; how fast they are is no test."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import brainfit
from brainfit import scoring
from brainfit.presentation import Presentation

PERF = Path(__file__).resolve().parents[1] / "perf"
KEYS = {"workload", "ours", "peer", "ratio", "spread", "target", "met", "note"}


@pytest.fixture
def perf(monkeypatch):
    """Import a module of perf/ as its scripts do, and forget it afterwards."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    monkeypatch.syspath_prepend(PERF)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (PERF / f"{name}.py").exists():
            del sys.modules[name]


def timing(ratio=3.0):
    return {"ours": 1.0, "peer": ratio, "ratios": [ratio], "ratio": ratio, "spread": [ratio - 1, ratio + 1]}


def row(perf, workload="C1 counts: some", **options):
    options = {"peer": "scipy", "version": "1", "at_least": 2.5, **options}
    return perf("harness").row(workload, timing(), **options)


def test_runs_are_interleaved_and_medians_taken(perf, monkeypatch):
    calls, clock = [], iter([0, 1, 0, 4, 0, 2, 0, 4, 0, 1, 0, 9])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    found = perf("harness").interleaved(lambda: calls.append("a"), lambda: calls.append("b"), 3)
    assert calls == list("ababab")
    assert found == {"ours": 1, "peer": 4, "ratios": [4, 2, 9], "ratio": 4, "spread": [2, 9]}


def test_peak_is_what_the_call_adds(perf):
    there = np.ones(10_000_000)
    peak_gb = perf("harness").peak_gb
    assert peak_gb(lambda: np.ones(12_500_000)) == pytest.approx(0.1, abs=0.03)
    assert peak_gb(lambda: there.sum()) < 0.03


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_call_that_fails_is_no_measurement(perf):
    with pytest.raises(RuntimeError, match="exit code 3"):
        perf("harness").peak_gb(lambda: sys.exit(3))


@pytest.mark.parametrize(
    ("options", "target", "met"),
    [
        ({}, ">= 2.5x", True),
        ({"at_least": 4}, ">= 4x", False),
        ({"also": False}, ">= 2.5x", False),
        ({"limit_gb": 2, "ours_gb": 1.5}, ">= 2.5x, <= 2 GB", True),
        ({"limit_gb": 2, "ours_gb": 2.5}, ">= 2.5x, <= 2 GB", False),
        ({"limit_gb": 2}, ">= 2.5x, <= 2 GB", False),
        ({"at_least": None}, "", True),
    ],
)
def test_a_row_says_whether_its_target_is_met(options, target, met, perf):
    found = row(perf, **options)
    assert set(found) == KEYS
    assert (found["target"], found["met"]) == (target, met)
    assert ("NOT MET" in perf("harness").show(found)) is not met


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ceilings", "scaling"])
def test_workloads_run_at_a_tiny_size(name, perf):
    rows = perf(name).rows(quick=True)
    for found in rows:
        assert set(found) - {"curve"} == KEYS
        assert found["ours"]["seconds"] > 0
        json.dumps(found)
    if name == "ceilings":
        assert [found["workload"][:2] for found in rows] == ["C1", "C1", "C2"]
        assert all("e-1" in found["note"] or "e-0" in found["note"] for found in rows[:2])


def test_the_loop_that_ceilings_are_timed_against_finds_the_same(perf, rng):
    ceilings = perf("ceilings")
    for responses in ceilings.RESPONSES.values():
        trials = responses(rng, (40, 9, 1, 3))
        loop = ceilings.scipy_loop(trials[:, :, 0], 3, np.random.default_rng(1))
        halves = ceilings.split_half(trials, np.eye(3, dtype=bool), n_splits=3, rng=np.random.default_rng(1))
        np.testing.assert_allclose(halves.spearman[:, 0], loop, atol=1e-6)


def test_lazy_responses_are_the_same_whenever_read(perf):
    trials = perf("ceilings").lazy_responses(12, 5)
    np.testing.assert_array_equal(trials[3:5].values, trials[3:5].values)
    assert 0.05 < float(trials.mean()) < 0.4


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_that_power(power, perf):
    sizes = [10, 20, 40]
    assert perf("scaling").exponent(sizes, [3 * n**power for n in sizes]) == pytest.approx(power)


def test_new_rows_replace_old_ones_of_the_same_id(perf):
    bench = perf("bench")
    old = [row(perf, name) for name in ("C1 counts: old", "C1 gone: old", "U1: old", "F1: old")]
    names = [found["workload"] for found in bench.merge(old, [row(perf, "C1 counts: new")])]
    assert names == ["U1: old", "F1: old", "C1 counts: new"]


def test_only_the_wanted_are_run(perf):
    bench = perf("bench")
    assert set(bench.workloads(["C"])) == {"ceilings"}
    assert bench.matches(row(perf, "C1 counts: x"), ["F", "C1"])
    assert not bench.matches(row(perf, "C1 counts: x"), ["C2"])


def test_the_page_shows_every_row(perf, tmp_path):
    harness, page = perf("harness"), perf("page")
    alone = harness.alone("E5 fit, images: 1 to 4", 2.0, target="exponent <= 1.1", met=True, note="linear")
    rows = [row(perf, at_least=4, note="so it is"), {**alone, "curve": [[1, 2, 4], [0.5, 1.0, 2.0]]}]
    paths = page.write([{**found, "machine": "2 cores"} for found in rows], tmp_path)
    assert all(path.stat().st_size > 500 for path in paths)
    text = paths[0].read_text(encoding="utf-8")
    assert "Targets not met: C1 counts." in text
    assert "| C1 counts: some | 1 |  | scipy 1 | 3 |  | 3 [2, 4] | ≥ 4x | **no** |" in text
    assert "- E5 fit, images: linear." in text
    before = [path.read_bytes() for path in paths]
    page.write([{**found, "machine": "2 cores"} for found in rows], tmp_path)
    assert [path.read_bytes() for path in paths] == before


RUNS = [
    {"images": n, "seconds": {"fit": 2 + 0.1 * n}, "peak_gb": 1 + n / 5120, "normalized": 0.5}
    for n in (128, 256, 512)
]


def test_full_size_is_drawn_out_along_a_line():
    study = runpy.run_path(str(PERF / "full_size.py"))
    time, memory = (study["extrapolated"](RUNS, memory) for memory in (False, True))
    assert time["seconds"]["fit"] == pytest.approx(514)
    assert time["peak_gb"] is None
    assert memory["peak_gb"] == pytest.approx(2)
    assert memory["seconds"] == {}
    end = "extrapolated from 10 % of the images; limit 8 GB"
    assert study["line"](time) == f"5,120 images: fit 514.0 s; {end}"
    assert study["line"](memory) == f"5,120 images: peak 2.00 GB; {end}"


def test_full_size_memory_has_features_like_the_layer_s(perf):
    study = perf("full_size")
    network = brainfit.load_model("median_convrnn")
    layer = network.region_layers["pIT"]
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    stand_in = study.StandIn().unroll(images, Presentation(), ["layer"])["layer"]
    wanted = network.unroll(images, Presentation(), [layer])[layer]
    assert network.image_size == study.StandIn.image_size
    assert [block.shape for block in stand_in.blocks] == [block.shape for block in wanted.blocks]
    assert stand_in.index == wanted.index


@pytest.mark.slow
def test_full_size_memory_runs(perf, monkeypatch):
    study = perf("full_size")
    monkeypatch.setattr(study, "N_UNITS", 3)
    for name in study.STAGES.values():
        monkeypatch.setattr(f"brainfit.scoring.{name}", getattr(scoring, name))  # put back afterwards
    found = study.run(128, memory=True)
    assert set(found["seconds"]) == {*study.STAGES, "whole", "fit"} - {"unroll and fit"}
    assert found["peak_gb"] == max(found["peaks"].values())
    json.dumps(found)
