import errno
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.errors import IntegrityError
from brainfit.storage import cache_folder
from model_zoo.weights.load import find_weights


def test_the_cache_follows_its_environment_variable(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "x"))
    assert cache_folder.folder("weights", "a") == tmp_path / "x" / "weights" / "a"
    assert not (tmp_path / "x").exists()
    with cache_folder.writing("weights", "a") as folder:
        assert folder.is_dir()
        assert folder == cache_folder.folder("weights", "a")
    monkeypatch.setenv("BRAINFIT_CACHE", "~/x")
    assert cache_folder.folder() == Path.home() / "x"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAINFIT_CACHE", "x")
    assert cache_folder.folder() == tmp_path / "x"


def test_a_cache_in_the_home_of_an_unknown_user_is_refused(monkeypatch):
    monkeypatch.setenv("BRAINFIT_CACHE", "~nosuchuser/x")
    with pytest.raises(IntegrityError, match=r"BRAINFIT_CACHE is '~nosuchuser/x': .*; set it to a folder"):
        cache_folder.folder()


@pytest.mark.parametrize("chosen", ["", None])
def test_the_default_cache_is_the_systems(monkeypatch, tmp_path, chosen):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BRAINFIT_CACHE", "")
    if chosen is None:
        monkeypatch.delenv("BRAINFIT_CACHE")
    assert tmp_path in cache_folder.folder().parents
    assert cache_folder.folder().name == "brainfit"
    assert not list(tmp_path.iterdir())


def test_an_unwritable_cache_is_named_in_the_error(monkeypatch, tmp_path):
    (tmp_path / "x").write_text("a file")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "x"))
    with pytest.raises(IntegrityError, match="set BRAINFIT_CACHE"), cache_folder.writing("weights"):
        pass
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "y"))
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with (
        pytest.raises(IntegrityError, match=r"No space left on device.*BRAINFIT_CACHE"),
        cache_folder.writing(),
    ):
        raise full
    other = IntegrityError("as it was")
    with pytest.raises(IntegrityError, match=r"^as it was$"), cache_folder.writing():
        raise other


@pytest.fixture
def open_to_all(monkeypatch, tmp_path):
    """The cache is a folder that every user can write to."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("BRAINFIT_CACHE", str(shared))
    return shared


def test_a_folder_that_every_user_can_write_to_is_refused(open_to_all):
    with pytest.raises(IntegrityError, match="shared: every user can write to it; change its mode"):
        cache_folder.require_trusted("weights", "one")
    with (
        pytest.raises(IntegrityError, match="every user can write to it"),
        cache_folder.writing("recordings"),
    ):
        pass
    assert not list(open_to_all.iterdir())
    open_to_all.chmod(0o755)
    cache_folder.require_trusted("weights", "one")
    (open_to_all / "weights").mkdir()
    (open_to_all / "weights").chmod(0o777)
    with pytest.raises(IntegrityError, match=r"shared/weights: every user can write to it"):
        cache_folder.require_trusted("weights", "one")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused_to_root_as_well(open_to_all):
    open_to_all.chmod(0o755)
    os.chown(open_to_all, 54321, 54321)
    with pytest.raises(IntegrityError, match="it belongs to another user"):
        cache_folder.require_trusted()


def test_fetched_weights_in_such_a_folder_are_not_loaded(open_to_all, monkeypatch):
    name = "rgc_intermediate"
    planted = open_to_all / "weights" / name / f"{name}.safetensors"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"planted")
    with pytest.raises(IntegrityError, match="every user can write to it"):
        find_weights(name)


def test_such_a_folder_is_a_problem_for_the_doctor(open_to_all):
    found = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)
    assert any("shared: every user can write to it" in problem for problem in found["problems"])
