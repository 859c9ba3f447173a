"""What is told of source files is the same whatever else a process has imported, and is all that matters."""

import importlib
import sys
from importlib.metadata import version
from types import ModuleType, SimpleNamespace

import pytest

from brainfit.features import source_files
from brainfit.features.source_files import source_identity

TOP = """
from threading import Lock

def work():
    from loose_folder import tint
    import sklearn
    from whole_package.parts.shade import shade
    return shade
"""
SHADE = """
import os
from ..settings import FRAMES as frames, NAMES
GAIN: float = 1.5
SIZE = (2, [3, "a"])
def shade(x):
    return x * GAIN
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Lay out three modules that import one another, a folder without a file among them."""
    for name, text in {
        "top_module.py": TOP,
        "loose_folder/tint.py": "",
        "whole_package/__init__.py": "",
        "whole_package/settings.py": "import os\nFRAMES = 3\nNAMES = tuple(os.environ.get('NAMES', 'ab'))",
        "whole_package/parts/__init__.py": "",
        "whole_package/parts/shade.py": SHADE,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = set(sys.modules)
    monkeypatch.setattr(source_files, "_started", lambda: float("inf"))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("top_module", "loose_folder", "whole_package", "in_site"):
            del sys.modules[name]


def test_what_a_function_imports_is_told_alike_before_and_after():
    importlib.import_module("top_module")
    before = source_identity({"top_module"})
    names = {name for name, _ in before}
    assert {"top_module", "loose_folder.tint", "whole_package.parts.shade", "whole_package.settings"} <= names
    assert "loose_folder" not in names  # it has no file
    importlib.import_module("loose_folder.tint")
    importlib.import_module("whole_package.parts")
    assert source_identity({"top_module"}) == before
    importlib.import_module("whole_package.parts.shade")
    found = dict(source_identity({"top_module"}))
    computed = "whole_package.settings"
    assert found.pop(computed) != dict(before)[computed]
    assert found == {name: text for name, text in before if name != computed}


def test_a_file_that_a_function_imports_is_told_before_it_is_imported(tmp_path):
    before = source_identity({"top_module"})
    path = tmp_path / "whole_package/parts/shade.py"
    path.write_text(path.read_text().replace("x * GAIN", "x + GAIN"))
    found = source_identity({"top_module"})
    assert [name for (name, text), was in zip(found, before, strict=True) if text != was[1]] == [
        "whole_package.parts.shade"
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("GAIN", 2.5), ("GAIN", 1), ("SIZE", (2, [3])), ("frames", 4), ("NAMES", ("c",)), ("NEW", 0)],
)
def test_a_variable_that_differs_from_what_the_files_say_is_told(monkeypatch, name, value):
    module = importlib.import_module("whole_package.parts.shade")
    before = source_identity({"top_module"})
    monkeypatch.setattr(module, name, value, raising=False)
    assert source_identity({"top_module"}) != before


def test_a_variable_that_its_own_module_no_longer_has_is_told(monkeypatch):
    shade = importlib.import_module("whole_package.parts.shade")
    settings = importlib.import_module("whole_package.settings")
    before = source_identity({"top_module"})
    monkeypatch.setattr(settings, "FRAMES", 4)
    changed = source_identity({"top_module"})
    monkeypatch.setattr(shade, "frames", 4)
    both = source_identity({"top_module"})
    assert before != changed != both != before


def test_of_a_variable_that_is_given_twice_either_value_is_told_apart(tmp_path, monkeypatch):
    (tmp_path / "top_module.py").write_text("GAIN = 1\nfrom whole_package.settings import FRAMES as GAIN\n")
    module = importlib.import_module("top_module")
    before = source_identity({"top_module"})
    monkeypatch.setattr(module, "GAIN", 1)
    assert source_identity({"top_module"}) != before


def test_a_module_that_must_not_be_imported_has_no_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert "sklearn" not in dict(source_identity({"top_module"}))


def test_a_variable_from_the_environment_is_told(monkeypatch):
    importlib.import_module("whole_package.settings")
    before = source_identity({"top_module"})
    monkeypatch.setenv("NAMES", "cd")
    importlib.reload(sys.modules["whole_package.settings"])
    assert source_identity({"top_module"}) != before


def test_versions_are_told_alike_before_and_after_an_import(monkeypatch):
    source_files._version.cache_clear()
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    assert dict(source_identity({"top_module"}))["sklearn"] == version("scikit-learn")
    source_files._version.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn", SimpleNamespace(__version__="another"))
    assert source_files._version("sklearn") == version("scikit-learn")
    for name in ("re", "json"):  # they say one
        assert source_files._version(name) == ""


def test_a_file_among_the_installed_ones_that_is_of_no_package_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(source_files, "_installed_folders", lambda: (tmp_path,))
    (tmp_path / "in_site.py").write_text("GAIN = 1")
    before = dict(source_identity({"in_site"}))["in_site"]
    (tmp_path / "in_site.py").write_text("GAIN = 2")
    assert dict(source_identity({"in_site"}))["in_site"] != before


def test_of_a_script_only_the_variables_that_its_code_reads_are_told(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text("step = 0\ngain = 1\ndef scaled(x):\n    return x * gain\n")
    script = ModuleType("__main__")
    vars(script).update(__file__=str(tmp_path / "script.py"), step=0, gain=1)
    monkeypatch.setitem(sys.modules, "__main__", script)
    before = source_identity({"__main__"})
    monkeypatch.setattr(script, "step", 1)
    assert source_identity({"__main__"}) == before
    monkeypatch.setattr(script, "gain", 2)
    assert source_identity({"__main__"}) != before
