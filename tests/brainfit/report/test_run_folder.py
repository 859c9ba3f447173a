import os
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from fake_scores import fake_score

from brainfit.contracts.vocabulary import REPORT_FORMATS
from brainfit.errors import IntegrityError
from brainfit.report import run_folder
from brainfit.report.files import FIGURE_SUFFIXES, FIGURES, FILES
from brainfit.report.of_score import displays
from brainfit.report.write import write_report


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Skip drawing."""
    monkeypatch.setattr(
        "brainfit.report.write._pictures", lambda display, suffixes: dict.fromkeys(suffixes, b"<svg/>")
    )
    monkeypatch.setattr("brainfit.report.write.print_pdf", lambda page: b"%PDF")


def small_score(**info):
    return fake_score(6, 12, 25, **info)


def names(folder):
    return sorted(item.name for item in Path(folder).iterdir())


def test_a_run_is_written_and_read_back():
    score = small_score()
    assert run_folder.write_run(score, "mine") == Path("mine", "report.html")
    np.testing.assert_equal(run_folder.read_run("mine").to_dict(), score.to_dict())
    assert names(".") == ["mine"]


def test_the_files_of_a_report_are_known_in_advance():
    scores = (small_score(), fake_score(6, 12, 1))
    names = {shown.name for score in scores for shown in displays(score)}
    drawn = {f"{FIGURES}/{name}.{suffix}" for name in names for suffix in FIGURE_SUFFIXES}
    assert {"report.html", "report.pdf", "report.md", *drawn} == FILES


def test_a_run_with_reports_of_all_formats_is_still_a_run():
    run_folder.write_run(small_score(), "mine")
    for suffix in REPORT_FORMATS:
        write_report(small_score(), "mine", suffix)
    assert names("mine") == ["figures", "report.html", "report.md", "report.pdf", "score.json", "score.nc"]
    assert run_folder.prepare_run("mine") == Path("mine")


def test_an_earlier_run_is_replaced():
    run_folder.write_run(small_score(), "mine")
    before = Path("mine", "score.nc").stat().st_ino
    run_folder.write_run(small_score(model="other"), run_folder.prepare_run("mine"))
    assert Path("mine", "score.nc").stat().st_ino != before
    assert names(".") == ["mine"]


@pytest.mark.parametrize(
    "foreign",
    ["thesis.tex", "figures/thesis.png", "figures/old/units.png", "score.json/thesis.tex", "data/.keep"],
)
@pytest.mark.parametrize("is_run", [True, False])
def test_a_folder_with_other_files_is_refused_and_kept(is_run, foreign):
    path = Path("mine", foreign)
    if is_run:
        run_folder.write_run(small_score(), "mine")
        Path("mine", "score.json").unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("kept")
    with pytest.raises(IntegrityError, match=r"mine holds .* and is not \(only\) an earlier brainfit run"):
        run_folder.prepare_run("mine")
    assert run_folder.write_run(small_score(), "mine") == Path("mine-2", "report.html")
    assert path.read_text() == "kept"


def test_a_score_file_of_another_program_is_not_a_run():
    Path("mine").mkdir()
    small_score().data.to_netcdf("mine/score.nc")
    with pytest.raises(IntegrityError, match=r"mine holds 'score.nc'"):
        run_folder.prepare_run("mine")


def test_a_folder_with_symbolic_links_is_not_a_run(tmp_path):
    run_folder.write_run(small_score(), "mine")
    Path("kept").write_text("kept")
    Path("mine/figures/units.png").unlink()
    Path("mine/figures/units.png").symlink_to(tmp_path / "kept")
    with pytest.raises(IntegrityError, match=r"mine holds 'figures/units.png'"):
        run_folder.prepare_run("mine")


def test_folders_that_cannot_hold_a_run_are_refused(tmp_path):
    Path("dangling").symlink_to(tmp_path / "nowhere")
    Path("loop").symlink_to(tmp_path / "loop")
    Path("file").write_text("")
    for folder in ("", ".", "..", "/", tmp_path, "dangling", "loop", "loop/run", "file", "file/run"):
        with pytest.raises(IntegrityError, match=r"choose another --out$"):
            run_folder.prepare_run(folder)
    for folder in ("x" * 300, "a\0b", "a\udcffb"):
        with pytest.raises(IntegrityError, match="cannot write to"):
            run_folder.prepare_run(folder)
    assert names(".") == ["dangling", "file", "loop"]


def test_a_link_to_a_folder_is_followed(tmp_path):
    Path("disk").mkdir()
    Path("mine").symlink_to(tmp_path / "disk")
    for _ in range(2):
        assert (
            run_folder.write_run(small_score(), run_folder.prepare_run("mine"))
            == tmp_path / "disk" / "report.html"
        )
    assert Path("mine").is_symlink()
    assert names(".") == ["disk", "mine"]


def test_a_folder_created_meanwhile_does_not_cost_the_run():
    folder = run_folder.prepare_run("mine")
    folder.write_text("kept")
    assert run_folder.write_run(small_score(), folder) == Path("mine-2", "report.html")
    assert folder.read_text() == "kept"
    assert run_folder.read_run("mine-2").info["model"] == "median_convrnn"


@pytest.mark.parametrize(
    "other",
    [
        {"model": "other"},
        {"weights": "9f86d081"},
        {"recording": "other"},
        {"benchmark": None},
        {"provenance": {"recording": {"sha256": "other"}}},
    ],
    ids=str,
)
def test_on_request_only_a_run_of_the_same_settings_is_replaced(other):
    first, second = small_score(), small_score(**other)
    for score, wanted in ((first, "mine"), (second, "mine-2"), (first, "mine"), (second, "mine-2")):
        assert run_folder.write_run(score, "mine", replace=False).parent == Path(wanted)
    assert names(".") == ["mine", "mine-2"]


@pytest.mark.parametrize("at", [1, 2])
def test_an_interrupt_while_renaming_leaves_the_earlier_run(monkeypatch, at):
    run_folder.write_run(small_score(), "mine")
    rename, calls = Path.rename, []

    def interrupted(self, target):
        calls.append(target)
        moved = rename(self, target)
        if len(calls) == at:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_folder.write_run(small_score(model="new"), "mine")
    assert run_folder.read_run("mine").info["model"] == ("median_convrnn" if at == 1 else "new")
    assert names(".") == ["mine"]


def test_an_earlier_run_that_cannot_be_restored_is_kept(monkeypatch):
    run_folder.write_run(small_score(), "mine")
    rename = Path.rename

    def only_aside(self, target):
        if target.name != "old":
            raise OSError(5, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", only_aside)
        with pytest.raises(IntegrityError, match="Input/output error"):
            run_folder.write_run(small_score(), "mine")
    (staging,) = Path.cwd().glob(".mine.*")
    long_ago = time.time() - 2 * run_folder.STALE_S
    os.utime(staging, (long_ago, long_ago))
    run_folder.prepare_run("mine")
    assert run_folder.read_run("mine").info["model"] == "median_convrnn"
    assert names(".") == ["mine"]


def test_leftovers_of_killed_runs_are_removed_and_nothing_else(tmp_path):
    kept = [".mine.settings", ".mine.other.abcdefgh.brainfit", ".mine.recently.brainfit"]
    for name in (*kept, ".mine.ab_d3fgh.brainfit"):
        folder = tmp_path / name
        (folder / "new").mkdir(parents=True)
        if "recently" not in name:
            os.utime(folder, (0, 0))
    run_folder.prepare_run("mine")
    assert names(".") == sorted(kept)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), IntegrityError("cannot draw")])
def test_a_report_that_fails_does_not_cost_the_score(monkeypatch, error):
    def fail(score, folder):
        raise error

    monkeypatch.setattr("brainfit.report.write.write_report", fail)
    with pytest.raises(IntegrityError, match=r"the score is in mine, .*`brainfit report mine`"):
        run_folder.write_run(small_score(), "mine")
    assert names("mine") == ["score.json", "score.nc"]
    assert run_folder.prepare_run("mine")


def test_a_bug_in_the_report_is_raised_and_does_not_cost_the_score(monkeypatch):
    monkeypatch.setattr("brainfit.report.write.write_report", lambda score, folder: 1 / 0)
    with pytest.raises(ZeroDivisionError) as caught:
        run_folder.write_run(small_score(), "mine")
    assert caught.value.__notes__ == ["the score was kept in mine"]
    assert names("mine") == ["score.json", "score.nc"]


def test_a_name_with_line_breaks_is_printed_on_one_line():
    with pytest.raises(IntegrityError, match="is not a run") as raised:
        run_folder.read_run("several\nlines")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("error", [RuntimeError("NetCDF: HDF error"), OSError(28, "No space left on device")])
def test_a_full_disk_does_not_cost_the_score(error, monkeypatch, tmp_path):
    score, write = small_score(), xr.Dataset.to_netcdf
    (tmp_path / "full").mkdir()
    (tmp_path / "other").mkdir()

    def fail_on_the_full_disk(self, path, **options):
        if "full" in Path(path).parts:
            raise error
        write(self, path, **options)

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail_on_the_full_disk)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other"))
    with pytest.raises(IntegrityError, match=r"cannot write the run to .*; the score was kept in ") as caught:
        run_folder.write_run(score, tmp_path / "full" / "mine")
    (kept,) = (tmp_path / "other").iterdir()
    assert str(kept) in str(caught.value)
    np.testing.assert_equal(run_folder.read_run(kept).to_dict(), score.to_dict())
    assert names("full") == []


def test_a_score_that_cannot_be_written_anywhere_is_one_line(monkeypatch, tmp_path):
    def fail(self, path, **_):
        raise RuntimeError("NetCDF: HDF error")

    score = small_score()
    monkeypatch.setattr(xr.Dataset, "to_netcdf", fail)
    with pytest.raises(IntegrityError, match=r"could not be kept in .* either") as caught:
        run_folder.write_run(score, tmp_path / "mine")
    assert "\n" not in str(caught.value)
