import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_scores import fake_score
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.registry import lookup
from brainfit.report import run_folder
from brainfit.scoring.result import Score

HEAVY = ("torch", "numpy", "xarray", "scipy", "sklearn", "matplotlib")
HELPERS = str(Path(__file__).parents[2] / "helpers")
RUN = ["score", "--model", "tiny", "--recording", "tiny", "--region", "pIT"]
FILES = {"score.nc", "score.json", "report.html", "figures"}


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    tiny = {"model": {"tiny": TinyModel}, "recording": {"tiny": tiny_recording}, "benchmark": {}}
    monkeypatch.setattr(lookup, "_REGISTERED", tiny)


@pytest.fixture
def asked(monkeypatch):
    """Replace scoring by a ready score and its report by a stub; record the arguments."""
    asked = {}

    def score(model, recording, **options):
        asked.update(options, model=model, recording=recording)
        return fake_score(8, 12, 25, model=model.name, recording=recording.name, region=options["region"])

    def write_report(score, folder, format="html"):
        (folder / "figures").mkdir()
        (folder / "report.html").write_text("ready")

    monkeypatch.setattr("brainfit.scoring.score.score", score)
    monkeypatch.setattr("brainfit.report.write.write_report", write_report)
    return asked


def changed(option, value):
    """Return the arguments of RUN with another value for one option."""
    at = RUN.index(option) + 1
    return [*RUN[:at], value, *RUN[at + 1 :]]


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="brainfit")


def assert_one_line(result, says):
    """Check for one line about the error, exit code 1, and an empty stdout."""
    errors = [line for line in result.stderr.splitlines() if "error:" in line]
    assert result.exit_code == 1, result.output
    assert len(errors) == 1, result.stderr
    assert says in errors[0]
    assert errors[0].startswith("brainfit: error: ")
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["list", "models"], ["--version"]])
def test_the_command_starts_fast_without_heavy_imports(arguments):
    code = (
        f"import sys; sys.argv[1:] = {arguments}\n"
        "from brainfit.cli import main\n"
        "try: main()\n"
        f"finally: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout
    assert time.perf_counter() - start < 5  # 0.3 s on an idle machine


def test_help_has_an_example_for_every_command():
    for command in ("score", "list", "check", "report"):
        assert f"Example: brainfit {command}" in run(command, "--help").stdout


@pytest.mark.parametrize("what", ["models", "recordings", "benchmarks"])
def test_list_prints_models_recordings_and_benchmarks(what):
    rows = json.loads(run("list", what, "--json").stdout)
    table = run("list", what).stdout
    assert rows
    assert all(row["name"] in table for row in rows)


def test_list_models_prints_the_documented_facts():
    row = json.loads(run("list", "models", "--json").stdout)[0]
    assert list(row) == ["name", "parameters", "layers", "steps", "image_sizes", "source", "weights"]


def test_score_writes_a_run_and_prints_its_report_last(asked, tmp_path):
    result = run(*RUN)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "runs" / "tiny-tiny-pIT-small-ridge-seed0"
    assert {item.name for item in folder.iterdir()} == FILES
    assert [item.name for item in folder.parent.iterdir()] == [folder.name]
    assert (tmp_path / result.stdout.splitlines()[-1]) == folder / "report.html"
    assert "image-driven" in result.stdout
    assert "the recording 'tiny' is simulated" in result.stderr
    assert "simulated" in result.stderr
    assert asked["layer"] == "committed"


def test_score_prints_json(asked, tmp_path):
    result = run(*RUN, "--json", "--out", tmp_path / "mine")
    printed = json.loads(result.stdout)
    assert printed.pop("run") == str(tmp_path / "mine")
    assert printed.pop("report") == str(tmp_path / "mine" / "report.html")
    assert printed == json.loads((tmp_path / "mine" / "score.json").read_text())
    assert set(printed["pooled"]) == {
        "r",
        "ceiling",
        "reliability",
        "normalized",
        "spearman",
        "spearman_normalized",
        "time_course",
        "image_driven",
        "ci95",
        "image_driven_ci95",
    }


def test_score_passes_its_options_on(asked):
    options = ["--layer", "small", "--images", 12, "--image-size", 8, "--batch-size", 4, "--seed", 3]
    assert run(*RUN, *options).exit_code == 0
    assert (asked["layer"], asked["execution"].batch_size, asked["seed"]) == ("small", 4, 3)
    assert asked["recording"].n_images == 12
    assert (asked["model"].image_size, asked["model"].seed) == (8, 3)


def test_images_of_a_real_recording_are_sampled_with_the_seed(asked, monkeypatch):
    monkeypatch.setitem(lookup._REGISTERED["recording"], "tiny", lambda: tiny_recording())
    assert run(*RUN, "--images", 12, "--seed", 3).exit_code == 0
    assert (asked["n_images"], asked["seed"], asked["recording"].n_images) == (12, 3, 16)


def test_the_table_fits_a_narrow_terminal_and_has_the_reference_values(asked):
    lines = run(*RUN).stdout.splitlines()[:-1]
    assert max(map(len, lines)) <= 80
    heads = " ".join(lines)
    for word in ("time", "course", "image-", "driven"):
        assert word in heads
    pooled = next(line for line in lines if "pooled" in line)
    assert len(re.findall(r"-?\d\.\d{3}", pooled)) == 7


def test_another_model_of_the_same_name_does_not_replace_a_run(asked, monkeypatch, tmp_path):
    assert run(*RUN).exit_code == 0

    class Other(TinyModel):
        weights = "9f86d081"

    def score(model, recording, **options):
        return fake_score(8, 12, 25, model=model.name, weights=model.weights)

    monkeypatch.setattr("brainfit.scoring.score.score", score)
    monkeypatch.setitem(lookup._REGISTERED["model"], "tiny", Other)
    for _ in range(2):
        result = run(*RUN)
        assert result.stdout.splitlines()[-1] == "runs/tiny-tiny-pIT-small-ridge-seed0-2/report.html"
        assert "this one is in runs/tiny-tiny-pIT-small-ridge-seed0-2" in result.stderr
    assert len(list((tmp_path / "runs").iterdir())) == 2


@pytest.mark.parametrize("name", ["x" * 400, "a\0b", "a\nb", "a\u202eb", "é" * 200, "a/../b"])
def test_any_model_name_gives_a_valid_folder_name(asked, monkeypatch, name, tmp_path):
    named = replace(tiny_recording(), name=name)
    monkeypatch.setitem(lookup._REGISTERED["recording"], "tiny", lambda: named)
    result = run(*RUN)
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"[\w.+-]+", folder.name)
    assert len(folder.name.encode()) <= 120
    assert all(line.startswith("brainfit: ") for line in result.stderr.splitlines())


def test_user_code_can_neither_print_results_nor_end_the_command(asked, monkeypatch, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from tiny import TinyModel\ndef net(): print('built'); return TinyModel()\n"
    )
    wordy = run("check", "mine.py:net", "--json")
    assert json.loads(wordy.stdout)["ok"]
    assert "built" in wordy.stderr
    scored = run("score", "--model", "mine.py:net", "--recording", "tiny", "--region", "pIT", "--json")
    assert json.loads(scored.stdout)["model"] == "tiny"
    monkeypatch.setattr("brainfit.scoring.score.score", lambda *_, **__: sys.exit(0))
    assert_one_line(run(*RUN, "--out", "mine"), "called sys.exit(0)")


def test_score_runs_a_benchmark(asked, monkeypatch, tmp_path):
    monkeypatch.setattr(lookup, "load_recording", lambda name, n_images: tiny_recording())
    result = run("score", "--model", "tiny", "--benchmark", "simulated-pIT")
    assert result.exit_code == 0, result.output
    assert (asked["region"], asked["benchmark"]) == ("pIT", "simulated-pIT")
    (folder,) = (tmp_path / "runs").iterdir()
    kept = run_folder.read_run(folder).info["provenance"]["benchmark"]
    assert set(kept) == {"version", "reference"}
    assert kept["version"] == lookup.load_benchmark("simulated-pIT").version


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "--region", "pIT"],
        ["score", "--model", "tiny"],
        ["score", "--model", "tiny", "--benchmark", "simulated-pIT", "--region", "pIT"],
        [*RUN, "--mapping", "magic"],
        [*RUN, "--mapping", "factorized", "--project", "9"],
        [*RUN, "--images", "0"],
        [*RUN, "--images", "many"],
        [*RUN, "--no-such-option"],
        ["list", "nonsense"],
        ["check"],
        ["no-such-command"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments):
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["score", "--model", "tinny", "--region", "pIT"], "did you mean 'tiny'"),
        (changed("--region", "pITT"), "did you mean 'pIT'"),
        ([*changed("--region", "V1"), "--layer", "small"], "has no units in region 'V1'"),
        ([*RUN, "--layer", "smal"], "did you mean 'small'"),
        (changed("--recording", "tinyy"), "did you mean 'tiny'"),
        (changed("--recording", "none.npz"), "there is no such file"),
        ([*RUN, "--weights", "some.ckpt"], "unexpected keyword argument 'weights'"),
        (["score", "--model", "tiny", "--benchmark", "simulated-pit"], "did you mean 'simulated-pIT'"),
        (["check", "tinny"], "did you mean 'tiny'"),
        (["check", "none.npz"], "there is no such file"),
        (["check", "x" * 300], "unknown model or recording"),
        (changed("--recording", "x" * 300), "unknown recording"),
        (changed("--recording", ""), "unknown recording ''"),
        ([*RUN, "--layer", ""], "unknown layer ''"),
        ([*RUN, "--out", "x" * 300], "File name too long"),
        ([*RUN, "--out", "."], "is the current folder"),
        (["check", "mine.py:f"], "there is no file mine.py"),
        (["report", "nowhere"], "nowhere is not a run of brainfit"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_line(arguments, says, tmp_path):
    assert_one_line(run(*arguments), says)
    assert not list((tmp_path / "runs").glob("*"))


def test_a_damaged_recording_is_one_line(tmp_path):
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 but no more")
    assert_one_line(run(*changed("--recording", "bad.npz")), "bad.npz")


def test_a_syntax_error_is_one_line_and_a_traceback_with_debug(tmp_path):
    (tmp_path / "mine.py").write_text("def f(:\n")
    wrong = ["score", "--model", "mine.py:f", "--region", "pIT"]
    assert_one_line(run(*wrong), "SyntaxError: invalid syntax (mine.py, line 1)")
    assert "Traceback" in run("--debug", *wrong).stderr


def test_an_unwritable_folder_is_refused_before_any_work(asked, tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "thesis.tex").write_text("kept")
    assert_one_line(run(*RUN, "--out", "file"), "file is not a folder")
    assert_one_line(run(*RUN, "--out", "file/run"), "file is not a folder")
    assert_one_line(run(*RUN, "--out", "folder"), "folder holds 'thesis.tex'")
    assert not asked
    assert (tmp_path / "folder" / "thesis.tex").read_text() == "kept"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused(asked, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert_one_line(run(*RUN, "--out", "locked/run"), "cannot write to locked/run: Permission denied")
    assert not asked


def test_an_earlier_run_is_replaced_unless_it_holds_other_files(asked, tmp_path):
    assert run(*RUN, "--out", "mine").exit_code == 0
    stamp = (tmp_path / "mine" / "score.nc").stat().st_ino
    assert run(*RUN, "--out", "mine").exit_code == 0
    assert (tmp_path / "mine" / "score.nc").stat().st_ino != stamp
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    assert_one_line(run(*RUN, "--out", "mine"), "mine holds 'notes.txt'")


def test_a_run_that_fails_at_the_end_keeps_the_earlier_one(asked, tmp_path, monkeypatch):
    assert run(*RUN, "--out", "mine").exit_code == 0
    before = (tmp_path / "mine" / "score.json").stat().st_ino

    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Score, "to_json", full)
    result = run(*RUN, "--out", "mine")
    assert result.exit_code == 1
    (error,) = (line for line in result.stderr.splitlines() if "error:" in line)
    assert "No space left on device; the score was kept in " in error
    assert run_folder.read_run(re.findall(r"kept in (\S+):", error)[0]).info["model"] == "tiny"
    assert "image-driven" in result.stdout  # the finished score is printed too
    assert (tmp_path / "mine" / "score.json").stat().st_ino == before
    assert [item.name for item in tmp_path.iterdir()] == ["mine"]


def test_an_interrupt_while_writing_leaves_no_files(asked, tmp_path, monkeypatch):
    def interrupted(score, folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("brainfit.report.write.write_report", interrupted)
    result = run(*RUN, "--out", "mine")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_report_rewrites_only_the_report(tmp_path):
    run_folder.write_run(fake_score(8, 12, 25), tmp_path / "mine")
    (tmp_path / "mine" / "notes.txt").write_text("kept")
    (tmp_path / "mine" / "report.html").write_text("spoiled")
    result = run("report", "mine")
    assert result.stdout.strip() == os.path.join("mine", "report.html")  # noqa: PTH118
    assert "spoiled" not in (tmp_path / "mine" / "report.html").read_text()
    assert {item.name for item in (tmp_path / "mine").iterdir()} == FILES | {"notes.txt"}


def test_a_run_is_read_back(tmp_path):
    score = fake_score(8, 12, 25)
    run_folder.write_run(score, tmp_path / "mine")
    np.testing.assert_equal(run_folder.read_run(tmp_path / "mine").to_dict(), score.to_dict())


def test_check_names_the_reason_why_a_recording_cannot_be_scored(monkeypatch):
    recording = tiny_recording()
    averaged = replace(recording, responses=recording.responses.mean("trial"))
    monkeypatch.setitem(lookup._REGISTERED["recording"], "averaged", lambda: averaged)
    assert "V4: can be scored" in run("check", "tiny:tiny_recording").stdout
    assert "cannot be scored: recording 'tiny' has no single trials" in run("check", "averaged").stdout


def test_check_accepts_a_model_and_a_recording():
    checked = run("check", "tiny:TinyModel")
    assert "a valid model" in checked.stdout, checked.output
    assert "(3, 4, 4)" in checked.stdout
    found = json.loads(run("check", "tiny:tiny_recording", "--json").stdout)
    assert found["ok"]
    assert found["units"] == "V4 3 (a 3); pIT 3 (a 3)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_leaves_no_files(tmp_path, number):
    code = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may have started the tests
import brainfit, brainfit.scoring.score
from brainfit.cli import main
from tiny import TinyModel, tiny_recording

def score(*args, **kwargs):
    print("working", file=sys.stderr, flush=True)
    time.sleep(60)

brainfit.scoring.score.score = score
brainfit.register_model("tiny", TinyModel)
brainfit.register_recording("tiny", tiny_recording)
main()
"""
    environment = {**os.environ, "PYTHONPATH": HELPERS}
    command = [sys.executable, "-c", code, *RUN, "--out", "mine"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if line == "working\n":
                break
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert child.returncode == 128 + number
    assert err.splitlines() == [
        "brainfit: interrupted; finished batches are kept; run the same command again to go on"
    ]
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe_on_stdout_is_not_an_error():
    command = (
        f"{sys.executable} -c 'from brainfit.cli import main; main()' list benchmarks --json | head -n 1"
    )
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout == "[\n"
    assert done.stderr == ""


def in_a_shell(tail, **environment):
    code = (
        "import brainfit, brainfit.scoring.score; from fake_scores import fake_score; from tiny import *\n"
        "from brainfit.cli import main\n"
        "brainfit.scoring.score.score = lambda *_, **__: fake_score(8, 12, 25, model='a…')\n"
        "brainfit.register_model('tiny', TinyModel); brainfit.register_recording('tiny', tiny_recording)\n"
        "main()"
    )
    command = f"{shlex.join([sys.executable, '-c', code])} {tail}"
    environment = {**os.environ, "PYTHONPATH": HELPERS, **environment}
    return subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("tail", ["list models", "list models --json", "--help"])
def test_an_unwritable_stdout_is_one_line(tail):
    done = in_a_shell(f"{tail} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["brainfit: error: [Errno 28] No space left on device"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("stderr", ["/dev/full", "&-"])
def test_a_closed_stderr_ascii_or_a_bad_backend_do_not_cost_a_run(tmp_path, stderr):
    done = in_a_shell(
        f"{shlex.join(RUN)} --out mine 2>{stderr}", PYTHONIOENCODING="ascii", MPLBACKEND="nonsense"
    )
    assert r"a\u2026 conv7 on pIT" in done.stdout
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "mine/report.html"
    assert {item.name for item in (tmp_path / "mine").iterdir()} == FILES


def test_a_deleted_current_folder_is_one_line(tmp_path):
    (tmp_path / "gone").mkdir()
    code = "import os; from brainfit.cli import main; os.rmdir(os.getcwd()); main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *RUN, "--out", "mine"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path / "gone",
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("brainfit: error: cannot write to mine: No such file or directory")


@pytest.mark.parametrize("option", ["--model", "--region", "--seed", "--device", "--out"])
def test_a_repeated_option_is_a_usage_error(option):
    value = "cpu" if option == "--device" else "1"
    result = run("score", "--model=tiny", "--region=pIT", *[f"{option}={value}"] * 2)
    assert result.exit_code == 2
    assert "takes one value" in result.stderr
    assert "times" in result.stderr


def test_multiple_values_and_repeated_flags_are_accepted(monkeypatch):
    monkeypatch.setattr("brainfit.analyses.layer_assignment.assign_layers", lambda *_, **__: 1 / 0)
    twice = ("--region", "V4", "--region", "pIT", "--json", "--json")
    result = run("layers", "--model", "tiny", "--recording", "tiny", *twice)
    assert isinstance(result.exception, ZeroDivisionError)


def test_the_short_help_option_works():
    assert run("-h").stdout == run("--help").stdout
    assert run("data", "info", "-h").stdout == run("data", "info", "--help").stdout


def test_a_bug_keeps_its_traceback():
    code = (
        "import brainfit.registry.lookup as r; r.list_models = lambda: 1 / 0; "
        "from brainfit.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "list", "models"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "please report it" in done.stderr
    assert "ZeroDivisionError" in done.stderr


def test_list_without_a_kind_names_everything():
    found = json.loads(run("list", "--json").stdout)
    table = run("list").stdout
    for kind in ("models", "recordings", "benchmarks"):
        names = [row["name"] for row in json.loads(run("list", kind, "--json").stdout)]
        assert found[kind] == names
        assert all(name in table for name in names)
