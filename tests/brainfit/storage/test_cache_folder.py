import errno
import os
from pathlib import Path

import pytest

from brainfit.errors import IntegrityError
from brainfit.storage import cache_folder


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
