"""What every test can count on: quiet thread pools, a home of its own, seeded randomness."""

import os
import subprocess

# Before torch is imported: waiting threads must not spin on cores that others use too.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ["MPLBACKEND"] = "Agg"

import numpy as np
import pytest


@pytest.fixture(scope="session", autouse=True)
def _home(tmp_path_factory):
    """Nothing is read from, or left in, the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.delenv("XDG_CONFIG_HOME", raising=False)
        yield


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    """Each test has a cache of its own, so that none finds what another one left."""
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.delenv("BRAINFIT_CACHE_LIMIT", raising=False)


@pytest.fixture(autouse=True)
def _readers_in_this_process(monkeypatch):
    """Readers of HDF5 files start no process of their own, which would make most tests slow."""
    monkeypatch.setenv("BRAINFIT_CHILD", "1")


@pytest.fixture
def isolated_readers(monkeypatch, _readers_in_this_process):
    """Readers of HDF5 files start a process of their own, as they do for users."""
    monkeypatch.delenv("BRAINFIT_CHILD")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of a megabyte, which only root can make."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "none", disk]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)  # lazily: HDF5 cannot close what it cannot write


@pytest.fixture
def rng():
    return np.random.default_rng(0)
