"""A user's module can import its siblings; nothing else is ever imported from a user's folder."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import tiny_recording

from brainfit.errors import PluginError
from brainfit.registry import lookup, plugins
from data_loaders.netcdf import to_netcdf

MODEL = """
from tiny import TinyModel
from {helper} import SIZE

def net():
    from {late} import NAME
    model = TinyModel(SIZE)
    model.name = NAME
    return model
"""


@pytest.fixture(autouse=True)
def _no_folders(monkeypatch):
    before = list(sys.meta_path)
    monkeypatch.setattr(plugins, "_FOLDERS", [])
    yield
    for folder in plugins._FOLDERS:
        folder.forget()
    sys.meta_path[:] = before


def project(folder, size, name, helper="helpers_of_mine", late="late_of_mine"):
    folder.mkdir()
    (folder / "models_of_mine.py").write_text(MODEL.format(helper=helper, late=late))
    (folder / f"{helper}.py").write_text(f"SIZE = {size}\n")
    (folder / f"{late}.py").write_text(f"NAME = {name!r}\n")
    return f"{folder}/models_of_mine.py:net"


def test_a_file_imports_its_siblings_from_anywhere_even_when_called(tmp_path, monkeypatch):
    target = project(tmp_path / "a", 8, "first")
    for here in (tmp_path, tmp_path / "a"):
        monkeypatch.chdir(here)
        model = lookup.load_model(os.path.relpath(target) if here == tmp_path else "models_of_mine.py:net")
        assert (model.image_size, model.name) == (8, "first")


def test_a_module_in_the_current_folder_is_found_by_name(tmp_path, monkeypatch):
    project(tmp_path / "a", 8, "first")
    monkeypatch.chdir(tmp_path / "a")
    assert lookup.load_model("models_of_mine:net").name == "first"
    del sys.modules["models_of_mine"]


def test_siblings_of_equal_names_in_two_folders_are_kept_apart(tmp_path):
    first, second = project(tmp_path / "a", 8, "first"), project(tmp_path / "b", 4, "second")
    for target, wanted in ((first, (8, "first")), (second, (4, "second"))):
        model = lookup.load_model(target)
        assert (model.image_size, model.name) == wanted


def test_an_edited_file_is_reloaded(tmp_path):
    path = tmp_path / "mine.py"
    for size in (4, 8):
        path.write_text(f"from tiny import TinyModel\ndef net(): return TinyModel({size})\n")
        assert lookup.load_model(f"{path}:net").image_size == size


def test_other_code_cannot_import_from_the_folder(tmp_path, monkeypatch):
    target = project(tmp_path / "a", 8, "first")
    monkeypatch.chdir(tmp_path / "a")
    lookup.load_model(target)
    for folder in plugins._FOLDERS:
        folder.forget()
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("helpers_of_mine")


def test_an_installed_package_is_not_hidden(tmp_path):
    target = project(tmp_path / "a", 8, "first")
    (tmp_path / "a" / "tiny.py").write_text("raise RuntimeError('hidden')\n")
    assert lookup.load_model(target).name == "first"


def test_a_file_that_failed_to_load_leaves_no_module(tmp_path):
    (tmp_path / "mine.py").write_text("net = 1 / 0\n")
    for _ in range(2):
        with pytest.raises(PluginError, match="ZeroDivisionError"):
            lookup.load_model(f"{tmp_path}/mine.py:net")


OPTIONAL = ("bottleneck", "numbagg", "dask", "cupy", "pint", "h5netcdf", "pickle", "numpy")


@pytest.mark.parametrize("command", [["data", "info", "mine.nc"], ["list", "models"], ["doctor"]])
def test_commands_import_nothing_from_the_current_folder(tmp_path, command):
    to_netcdf(tiny_recording(), tmp_path / "mine.nc")
    for name in OPTIONAL:
        (tmp_path / f"{name}.py").write_text(f"open('RAN-{name}', 'w').close()\n")
    program = Path(sys.executable).with_name("brainfit")
    done = subprocess.run([program, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert [path.name for path in tmp_path.glob("RAN-*")] == []
    assert done.returncode == 0, done.stderr
