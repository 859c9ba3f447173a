"""`brainfit cache`, and the notes about the cache that a score prints."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.features.store import open_store
from brainfit.registry import lookup
from brainfit.report import run_folder
from brainfit.storage import cache_folder

RUN = ["score", "--model", "tiny", "--recording", "tiny", "--region", "pIT", "--batch-size", "4"]


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("brainfit.features.code_identity._started", lambda: float("inf"))
    tiny = {"model": {"tiny": TinyModel}, "recording": {"tiny": tiny_recording}, "benchmark": {}}
    monkeypatch.setattr(lookup, "_REGISTERED", tiny)
    monkeypatch.setattr("brainfit.report.write.write_report", lambda score, folder: None)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="brainfit")


def notes(result):
    return [line for line in result.stderr.splitlines() if line.startswith("brainfit: ")]


def test_a_second_score_reads_the_features_of_the_first():
    first, second = run(*RUN), run(*RUN, "--mapping", "pls")
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert "brainfit: features: 4 batches computed, 0 found in the cache" in notes(first)
    assert "brainfit: features: 0 batches computed, 4 found in the cache" in notes(second)


def test_no_cache_keeps_nothing():
    result = run(*RUN, "--no-cache")
    assert result.exit_code == 0, result.output
    assert not any("features" in line for line in notes(result))
    assert not cache_folder.folder().exists() or not list(cache_folder.folder().iterdir())


def test_a_damaged_file_is_one_note():
    run(*RUN)
    path = open_store().shards()[0].path
    path.write_bytes(b"x" * 100)
    result = run(*RUN)
    assert result.exit_code == 0
    assert len([line for line in notes(result) if "damaged" in line]) == 1


def test_a_cache_that_cannot_be_written_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "file"))
    result = run(*RUN)
    assert result.exit_code == 1
    (line,) = [line for line in notes(result) if "error" in line]
    assert "BRAINFIT_CACHE to another folder, or keep nothing (--no-cache" in line
    assert run(*RUN, "--no-cache").exit_code == 0


class Filling(TinyModel):
    """A model during whose third batch another program fills the disk."""

    junk: Path | None = None

    def unroll(self, images, presentation, layers):
        if self.junk is not None and len(open_store().shards()) == 2:
            with contextlib.suppress(OSError), self.junk.open("wb") as file:
                while True:
                    file.write(bytes(1000))
                    file.flush()
        return super().unroll(images, presentation, layers)


def test_a_full_disk_is_one_line_and_the_next_run_resumes(small_disk, monkeypatch, tmp_path):
    monkeypatch.setitem(lookup._REGISTERED["model"], "tiny", Filling)
    monkeypatch.setattr(Filling, "cache_token", lambda self: "the same with and without junk", raising=False)
    wanted = run(*RUN, "--no-cache", "--json")
    shutil.rmtree(tmp_path / "runs")
    monkeypatch.setenv("BRAINFIT_CACHE", str(small_disk))
    monkeypatch.setattr(Filling, "junk", small_disk / "junk")
    result = run(*RUN)
    assert result.exit_code == 1, result.output
    (line,) = [line for line in notes(result) if "error" in line]
    assert "cannot write features to" in line
    assert "No space left on device" in line
    assert not list((tmp_path / "runs").glob("*"))
    (small_disk / "junk").unlink()
    monkeypatch.setattr(Filling, "junk", None)
    again = run(*RUN, "--json")
    assert "brainfit: features: 2 batches computed, 2 found in the cache" in notes(again)
    found, other = (json.loads(result.stdout) for result in (again, wanted))
    assert found["pooled"] == other["pooled"]


def test_a_cache_on_a_read_only_disk_is_one_line(small_disk, monkeypatch):
    monkeypatch.setenv("BRAINFIT_CACHE", str(small_disk))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    result = run(*RUN)
    assert result.exit_code == 1
    (line,) = [line for line in notes(result) if "error" in line]
    assert "Read-only file system" in line
    assert run(*RUN, "--no-cache").exit_code == 0


def test_precision_is_recorded_and_part_of_the_name_of_the_run(tmp_path):
    assert run(*RUN, "--precision", "bfloat16").exit_code == 0
    assert run(*RUN).exit_code == 0
    names = sorted(item.name for item in (tmp_path / "runs").iterdir())
    assert names == ["tiny-tiny-pIT-small-ridge-bfloat16-seed0", "tiny-tiny-pIT-small-ridge-seed0"]
    found = [run_folder.read_run(tmp_path / "runs" / name).info["provenance"]["precision"] for name in names]
    assert found == ["bfloat16", "float32"]


def test_the_layers_command_takes_the_same_options():
    layers = ["layers", "--model", "tiny", "--recording", "tiny", "--json", "--batch-size", "4"]
    kept = run(*layers)
    assert kept.exit_code == 0, kept.output
    assert run(*layers, "--no-cache").stdout == kept.stdout
    assert any("4 batches computed, 0 found" in line for line in notes(kept))
    score = run(*RUN)
    assert any("0 batches computed, 4 found" in line for line in notes(score))


def test_info_lists_the_sizes_of_each_kind_of_file():
    empty = json.loads(run("cache", "info", "--json").stdout)
    assert empty["parts"] == {"features": 0, "recordings": 0, "tasks": 0, "weights": 0}
    run(*RUN)
    with cache_folder.writing("weights", "a") as folder:
        (folder / "file").write_bytes(b"x" * 1234)
    facts = json.loads(run("cache", "info", "--json").stdout)
    shards = sum(shard.size for shard in open_store().shards())
    assert facts["parts"]["weights"] == 1234
    assert facts["parts"]["features"] == shards > 0
    assert facts["bytes"] == shards + 1234
    assert facts["folder"] == str(cache_folder.folder())
    assert facts["limit_bytes"] == 20e9
    table = run("cache", "info").stdout
    assert "1.2 kB" in table
    assert "at most 20 GB" in table


@pytest.mark.parametrize("option", [[], ["--features"], ["--all"]])
def test_clear_removes_features_and_on_request_everything(option):
    run(*RUN)
    with cache_folder.writing("weights") as folder:
        (folder / "file").write_bytes(b"x" * 1234)
    (cache_folder.folder() / "mine.txt").write_text("not brainfit's")
    held = json.loads(run("cache", "info", "--json").stdout)["parts"]
    result = run("cache", "clear", *option, "--json")
    freed = held["features"] + (1234 if option == ["--all"] else 0)
    assert json.loads(result.stdout)["freed_bytes"] == freed
    left = json.loads(run("cache", "info", "--json").stdout)["parts"]
    assert left["features"] == 0
    assert left["weights"] == (0 if option == ["--all"] else 1234)
    assert (cache_folder.folder() / "mine.txt").exists()
    assert "removed 0 B" in run("cache", "clear").stderr


def test_the_options_of_clear_exclude_each_other():
    assert run("cache", "clear", "--features", "--all").exit_code == 2


def test_an_invalid_limit_is_one_line(monkeypatch):
    monkeypatch.setenv("BRAINFIT_CACHE_LIMIT", "much")
    for arguments in (RUN, ["cache", "info"]):
        result = run(*arguments)
        assert result.exit_code == 1
        assert "BRAINFIT_CACHE_LIMIT is 'much'; wanted a size such as 20GB" in result.stderr
