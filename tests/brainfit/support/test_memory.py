"""The memory of a score is estimated before it starts, with advice if it does not fit."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_recording import made_up
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.errors import ResourceError
from brainfit.execution import Execution
from brainfit.features import sizing
from brainfit.features.sizing import UnrollMemory
from brainfit.scoring import responses
from brainfit.scoring.memory_plan import Work, check, estimate, peak, remedies
from brainfit.scoring.score import score
from brainfit.support import memory
from brainfit.support.memory import PeakMemory

WORK = Work(
    n_images=1000,
    n_train=750,
    n_test=250,
    n_trials=20,
    n_units=50,
    n_bins=25,
    trial_bytes=4,
    n_features=10_000,
    n_rows=12.0,
    batch_size=16,
    unroll=UnrollMemory(1e7, 2e7),
    answer_bytes=1e6,
    solver=lambda n_rows, n_features: 5000.0 * n_features,
)


def test_number_and_size_of_rows_are_estimated_separately():
    """Features may be stored in 16 bits."""
    work = WORK.with_rows(10, 120, 70 * (4 * 10_051 + 8) + 50 * (2 * 10_000 + 4 * 51 + 8))
    assert work.n_rows == 12
    assert work.feature_bytes == pytest.approx((70 * 4 + 50 * 2) / 120)
    assert work.bytes_of_row == pytest.approx(4 * 51 + 8 + work.feature_bytes * 10_000)


def test_each_stage_is_estimated_by_the_arrays_it_holds():
    stages = estimate(WORK)
    rows = 750 * 12 * (4 * (10_000 + 50 + 1) + 8)
    assert stages["averaging trials"] == WORK.means + 2 * 4 * 1000 * 20 * 50 * 25
    assert stages["unrolling a batch"] == WORK.means + 1e7 + 16 * 2e7
    assert stages["compressed rows"] == stages["unrolling a batch"] + rows
    assert stages["solving"] == WORK.means + rows + 5e7
    assert peak(stages) == ("compressed rows", stages["compressed rows"])


def test_many_trials_need_no_more_memory_than_one_read():
    many = replace(WORK, n_trials=1000)
    assert estimate(many)["averaging trials"] == WORK.means + 2 * responses.CHUNK_BYTES


@pytest.mark.parametrize("name", ["batch_size", "n_features", "n_rows", "n_units"])
def test_estimates_grow_with_every_size(name):
    more = estimate(replace(WORK, **{name: 2 * getattr(WORK, name)}))
    assert all(more[stage] >= size for stage, size in estimate(WORK).items())
    assert more != estimate(WORK)


@settings(max_examples=100, deadline=None)
@given(st.floats(1e6, peak(estimate(WORK))[1] - 1))
def test_advised_sizes_are_the_largest_that_fit(room):
    for words in remedies(WORK, room, may_project=True):
        number = int(next(word for word in words.split() if word.isdigit()))
        name = {"(--batch-size": "batch_size", "(--project": "n_features"}
        option = next(word for word in words.split() if word.startswith("(--"))

        def changed(n, option=option, name=name):
            return WORK.with_images(n) if option == "(--images" else replace(WORK, **{name[option]: n})

        assert peak(estimate(changed(number)))[1] <= room
        assert peak(estimate(changed(number + 1)))[1] > room or option == "(--images"


def test_a_refusal_names_the_largest_stage_and_the_bytes(monkeypatch):
    needed = peak(estimate(WORK))[1]
    monkeypatch.setattr(memory, "available_bytes", lambda: needed - 1e8)
    with pytest.raises(ResourceError) as error:
        check(WORK, 0, may_project=True)
    line = str(error.value)
    assert line.startswith("compressed rows needs about 701.9 MB")
    assert "(--batch-size 11)" in line
    assert "(--images 731)" in line
    assert "(--project 7222)" in line
    assert "\n" not in line
    assert check(WORK, 1e8 + 1, may_project=True) == estimate(
        WORK
    )  # memory in use already is part of the estimate
    with pytest.raises(ResourceError) as error:
        check(WORK, 0, may_project=False)
    assert "--project" not in str(error.value)
    monkeypatch.setattr(memory, "available_bytes", lambda: 10)
    with pytest.raises(ResourceError, match="no number of images or features would fit"):
        check(WORK, 0, may_project=True)


def test_memory_per_image_is_separated_from_shared_memory():
    unroll = UnrollMemory.from_peak(100.0, 4, 20.0)
    assert (unroll.fixed, unroll.each, unroll.bytes(4), unroll.bytes(8)) == (20, 20, 100, 180)
    assert UnrollMemory.from_peak(100.0, 1, 1e9) == UnrollMemory(50, 50)


def test_peak_memory_includes_released_memory():
    with PeakMemory() as watch:
        np.ones(12_500_000).sum()
        left = np.ones(5_000_000)
    assert watch.peak == pytest.approx(1e8, rel=0.3)
    assert watch.kept == pytest.approx(left.nbytes, rel=0.3)


class Large(TinyModel):
    """A model that needs 8 MB per image."""

    shown: list[int] = []  # noqa: RUF012

    def unroll(self, images, presentation, layers):
        self.shown.append(len(images))
        np.ones((len(images), 1_000_000)).sum(axis=1)
        return super().unroll(images, presentation, layers)


def scored(monkeypatch, room, batch_size=None):
    monkeypatch.setattr(Large, "shown", [])
    monkeypatch.setattr(sizing, "available_bytes", lambda: room)
    return score(
        Large(),
        tiny_recording(n_images=40),
        region="pIT",
        execution=Execution(batch_size=batch_size, cache=False),
    )


def test_batches_shrink_with_a_warning_if_memory_is_short(monkeypatch, caplog):
    wanted = scored(monkeypatch, 1e9)
    assert set(Large.shown) == {1, 16, 8}
    assert wanted.info["provenance"]["batch_size"] == 16
    with caplog.at_level(logging.WARNING):
        found = scored(monkeypatch, 5e7)
    assert max(Large.shown) == found.info["provenance"]["batch_size"] == 4
    (record,) = [record for record in caplog.records if record.name == sizing.__name__]
    assert "a batch of 16 images takes about" in record.getMessage()
    assert "the batch size is 4" in record.getMessage()
    np.testing.assert_allclose(found.data["r"].values, wanted.data["r"].values, atol=1e-3)


def test_a_requested_batch_size_beyond_memory_is_refused_with_one_that_fits(monkeypatch):
    with pytest.raises(ResourceError, match=r"a batch size of 4 would fit \(--batch-size 4\)"):
        scored(monkeypatch, 5e7, batch_size=16)
    assert Large.shown == [1]


def test_no_image_is_computed_if_responses_alone_exceed_memory(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(ResourceError, match="averaging trials needs about"):
        scored(monkeypatch, 1e9)
    assert Large.shown == []


def test_a_fit_beyond_memory_is_refused_after_one_image(monkeypatch):
    recording, model = made_up(n_images=40)
    asked = []

    def less_and_less():
        asked.append(1)
        return 1e9 if len(asked) == 1 else 1e6

    monkeypatch.setattr(memory, "available_bytes", less_and_less)
    with pytest.raises(ResourceError, match=r"solving needs about .* (would|no number of)"):
        score(model, recording, region="pIT")


GIB = 2**30
FREE = 64 * GIB


def group(folder, limit, used, version=2, inactive=None):
    """Write the files by which the system describes a control group."""
    names = {
        2: ("max", "current", "inactive_file"),
        1: ("limit_in_bytes", "usage_in_bytes", "total_inactive_file"),
    }
    of_limit, of_use, of_files = names[version]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"memory.{of_limit}").write_text(f"{limit}\n")
    (folder / f"memory.{of_use}").write_text(f"{used}\n")
    if inactive is not None:
        (folder / "memory.stat").write_text(f"anon 5\n{of_files} {inactive}\n")


def member(monkeypatch, tmp_path, lines):
    (tmp_path / "member").write_text(lines)
    monkeypatch.setattr(memory, "_MEMBER", tmp_path / "member")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "fs")
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=FREE))
    return tmp_path / "fs"


V1, V2 = "9:name=systemd:/\n4:cpu,memory:/docker/ab\n", "0::/job/ab\n"


@pytest.mark.parametrize(
    ("lines", "place", "version"),
    [
        ("0::/\n", "", 2),  # a container whose own group appears as the root
        (V2, "job/ab", 2),
        (V2, "job", 2),  # a limit of the parent group
        ("0::/../../elsewhere\n", "", 2),
        (f"0::/\n{V1}", "memory/docker/ab", 1),
        (V1, "memory", 1),  # mounted as by docker
        (f"{V1}0::/job/ab\n", "unified/job/ab", 2),
    ],
)
def test_the_limit_of_a_container_is_found_in_every_layout(monkeypatch, tmp_path, lines, place, version):
    top = member(monkeypatch, tmp_path, lines)
    assert memory.available_bytes() == FREE
    group(top / place, 2 * GIB, GIB // 2, version)
    assert memory.available_bytes() == 2 * GIB - GIB // 2
    group(top / place, 2 * GIB, GIB // 2, version, inactive=1000)  # reclaimable page cache
    assert memory.available_bytes() == 2 * GIB - GIB // 2 + 1000
    group(top / place, 2 * GIB, 3 * GIB, version, inactive=0)
    assert memory.available_bytes() == 0
    group(top / place, "max" if version == 2 else 2**63 - 4096, GIB, version)
    assert memory.available_bytes() == FREE


def test_the_smallest_of_several_limits_applies(monkeypatch, tmp_path):
    top = member(monkeypatch, tmp_path, V2)
    group(top / "job", 8 * GIB, 6 * GIB)
    group(top / "job" / "ab", 4 * GIB, GIB)
    assert memory.available_bytes() == 2 * GIB


def test_the_limit_of_address_space_applies(monkeypatch, tmp_path):
    member(monkeypatch, tmp_path, "")
    held = memory.psutil.Process().memory_info().vms
    monkeypatch.setattr(memory.resource, "getrlimit", lambda which: (held + GIB, -1))
    assert memory.available_bytes() == pytest.approx(GIB, rel=0.1)


def test_a_score_is_refused_in_a_small_container_of_a_large_machine(monkeypatch, tmp_path):
    top = member(monkeypatch, tmp_path, "0::/\n")
    group(top, 2 * GIB, 2 * GIB - 1000)
    monkeypatch.setattr(Large, "shown", [])
    with pytest.raises(ResourceError, match=r"averaging trials needs about .* and 1 kB are available"):
        score(Large(), tiny_recording(n_images=40), region="pIT", execution=Execution(cache=False))
    assert Large.shown == []
    done = CliRunner().invoke(app, ["score", "--model", "none", "--region", "pIT"], prog_name="brainfit")
    assert done.exit_code == 1
    assert done.stderr.startswith("brainfit: error: this needs about 430 MB (libraries 430 MB), and 1 kB")
    assert len(done.stderr.splitlines()) == 1


def test_too_little_address_space_is_refused_before_imports(monkeypatch):
    monkeypatch.setattr(memory, "_left_of_addresses", lambda: 1.1 * GIB)
    with pytest.raises(
        ResourceError, match=r"1\.4 GB of addresses, and the limit \(ulimit -v\) leaves 1\.2 GB"
    ):
        memory.check_start()
    monkeypatch.setattr(memory, "_left_of_addresses", lambda: 1.3 * GIB)
    memory.check_start()
