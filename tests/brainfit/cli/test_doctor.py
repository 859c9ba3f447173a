"""`brainfit doctor` describes this machine correctly, and finds what is broken."""

import importlib
import json
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.cli.commands import doctor as module


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BRAINFIT_CACHE_LIMIT", raising=False)


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", *arguments], prog_name="brainfit")


def described(result):
    facts = json.loads(result.stdout)
    assert facts["ok"] is (result.exit_code == 0)
    assert [f"brainfit: error: {problem}" for problem in facts["problems"]] == result.stderr.splitlines()
    return facts


def test_a_working_machine_has_no_problems():
    result = run("--json")
    facts = described(result)
    assert result.exit_code == 0
    for name in ("numpy", "torch", "netcdf4", "scikit-learn"):
        assert facts["packages"][name] == version(name)
    assert facts["brainfit"] == version("brainfit")
    assert not facts["cache"]["bytes"]
    assert facts["cache"]["writable"] is True
    assert facts["cache"]["limit_bytes"] == 20 * 10**9
    assert 0 < facts["memory_available_bytes"] < 1e13
    assert {"nwb", "test", "docs"} <= set(facts["extras"])
    assert facts["extras"]["test"] == {"missing": [], "install": None}


def test_doctor_creates_no_files(tmp_path):
    run()
    assert list(tmp_path.iterdir()) == []


def test_the_lines_and_json_agree():
    facts, lines = described(run("--json")), run().stdout.splitlines()
    assert f"torch: {facts['packages']['torch']}" in lines
    assert f"cache: {facts['cache']['folder']}, can be written" in lines
    assert "cache holds: 0 B; features at most 20 GB" in lines
    assert all(": " in line for line in lines)


def test_the_device_is_the_one_torch_finds():
    import torch

    device = described(run("--json"))["device"]
    assert device["cuda"] is torch.cuda.is_available()
    assert device["why"]


def test_a_missing_extra_is_not_a_problem_and_names_its_command(monkeypatch):
    missing(monkeypatch, "pynwb")
    result = run("--json")
    assert result.exit_code == 0
    assert described(result)["extras"]["nwb"] == {
        "missing": ["pynwb"],
        "install": 'pip install "brainfit[nwb]"',
    }
    assert 'extra nwb: lacks pynwb; pip install "brainfit[nwb]"' in run().stdout.splitlines()


def test_a_missing_package_is_a_problem(monkeypatch):
    missing(monkeypatch, "scipy")
    facts = described(run("--json"))
    assert facts["packages"]["scipy"] is None
    assert facts["problems"] == ["scipy is not installed; install it: pip install 'scipy'"]
    assert "scipy: missing" in run().stdout.splitlines()


def test_a_too_old_package_is_a_problem(monkeypatch):
    ours = module._version
    monkeypatch.setattr(module, "_version", lambda name: "1.26.4" if name == "numpy" else ours(name))
    [least] = {line.partition(">=")[2] for line in requires("brainfit") or [] if line.startswith("numpy>=")}
    assert described(run("--json"))["problems"] == [
        f"numpy is 1.26.4, wanted {least} or newer: pip install 'numpy>={least}'"
    ]


@pytest.mark.parametrize(
    "error",
    [ImportError("libfoo.so: no such file"), OSError(5, "broken\nlibrary"), ValueError("size changed")],
)
def test_a_package_that_fails_to_import_is_a_problem(monkeypatch, error):
    def failing(name):
        if name == "sklearn":
            raise error
        return importlib.import_module(name)

    monkeypatch.setattr(module, "import_module", failing)
    (problem,) = described(run("--json"))["problems"]
    assert problem.startswith(f"scikit-learn {version('scikit-learn')} cannot be imported: ")
    assert problem.endswith("; reinstall it")


def test_an_unwritable_cache_is_a_problem(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "file" / "cache"))
    facts = described(run("--json"))
    assert facts["cache"]["writable"] is False
    assert any("set BRAINFIT_CACHE" in problem for problem in facts["problems"])


def test_the_size_of_the_cache_is_reported(tmp_path):
    (tmp_path / "cache" / "features").mkdir(parents=True)
    (tmp_path / "cache" / "features" / "one").write_bytes(bytes(12_000))
    assert described(run("--json"))["cache"]["bytes"] == 12_000


def test_an_invalid_limit_is_a_problem(monkeypatch):
    monkeypatch.setenv("BRAINFIT_CACHE_LIMIT", "much")
    (problem,) = described(run("--json"))["problems"]
    assert "BRAINFIT_CACHE_LIMIT is 'much'" in problem
    assert run().exit_code == 1


def missing(monkeypatch, name):
    """Make a package appear not to be installed."""

    def found(asked):
        if asked == name:
            raise PackageNotFoundError(asked)
        return version(asked)

    monkeypatch.setattr(module, "version", found)
