import functools
import importlib
import subprocess
import sys

import numpy as np
import pytest
from tiny import TinyModel, tiny_recording

import brainfit
from brainfit.errors import ContractError, IntegrityError, PluginError, UnknownNameError
from brainfit.registry import lookup


@pytest.fixture(autouse=True)
def _nothing_stays_registered(monkeypatch):
    monkeypatch.setattr(lookup, "_REGISTERED", {"model": {}, "recording": {}, "benchmark": {}})


@pytest.fixture
def user_file(tmp_path):
    def write(text):
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", list(lookup.list_benchmarks()))
def test_a_benchmark_matches_its_catalogue_entry(name):
    benchmark, entry = lookup.load_benchmark(name), lookup.list_benchmarks()[name]
    assert benchmark.name == name
    for fact in ("recording", "region", "version", "reference"):
        assert getattr(benchmark, fact) == getattr(entry, fact)
    assert benchmark.recording in lookup.list_recordings()


@pytest.mark.parametrize(
    ("load", "name", "hint"),
    [
        (lookup.load_model, "median_convrn", "did you mean 'median_convrnn'"),
        (lookup.load_recording, "simulatd", "did you mean 'simulated'"),
        (lookup.load_benchmark, "simulated-pit", "did you mean 'simulated-pIT'"),
        (lookup.load_model, "zzz", "known: median_convrnn"),
    ],
)
def test_unknown_names_get_a_suggestion(load, name, hint):
    with pytest.raises(UnknownNameError, match=hint):
        load(name)


def test_registered_names_precede_the_catalogue():
    lookup.register_model("median_convrnn", TinyModel)
    assert isinstance(lookup.load_model("median_convrnn", image_size=8), TinyModel)
    assert lookup.list_models()["median_convrnn"].source == "registered at run time"


def test_registered_recordings_and_benchmarks_are_found():
    lookup.register_recording("mine", functools.partial(tiny_recording, n_units=2))
    lookup.register_benchmark("mine", lambda: brainfit.Benchmark("mine", "mine", "pIT"))
    assert lookup.load_recording("mine").responses.sizes["unit"] == 2
    assert lookup.load_benchmark("mine").region == "pIT"
    assert {"mine", "simulated"} <= set(lookup.list_recordings())


def test_entry_points_of_other_packages_are_found(monkeypatch, tmp_path):
    (tmp_path / "theirs.py").write_text("from tiny import TinyModel as build\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[brainfit.models]\ntheir_net = theirs:build\n")
    importlib.invalidate_caches()
    assert isinstance(lookup.load_model("their_net"), TinyModel)
    assert lookup.list_models()["their_net"].source == "entry point of theirs"


def test_a_factory_is_found_in_a_file_or_a_module(user_file):
    path = user_file("from tiny import TinyModel\ndef net(image_size=8): return TinyModel(image_size)\n")
    assert lookup.load_model(f"{path}:net", image_size=4).image_size == 4
    assert isinstance(lookup.load_model("tiny:TinyModel"), TinyModel)
    assert lookup.model_takes("tiny:TinyModel", "seed")
    assert not lookup.model_takes(f"{path}:net", "seed")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("def f(:\n", PluginError, "SyntaxError.*mine.py, line 1"),
        ("import no_such_package\n", PluginError, "cannot import.*no_such_package"),
        ("\n1 / 0\n", PluginError, r"ZeroDivisionError.*mine.py, line 2\)"),
        ("def nett(): ...\n", UnknownNameError, "did you mean 'nett'"),
        ("net = 3\n", PluginError, "net is a int"),
        (
            "def net(): raise TypeError('oops')\n",
            PluginError,
            r"failed: TypeError: oops \(.*mine.py, line 1\)",
        ),
        ("def net(size): ...\n", ContractError, r"missing a required argument: 'size'.*\(size\)"),
        ("def net(): return 3\n", ContractError, "got a int without"),
        ("def net(): return\n", ContractError, "got a NoneType without"),
    ],
)
def test_errors_in_a_users_file_become_one_line(user_file, text, error, says):
    with pytest.raises(error, match=says):
        lookup.load_model(f"{user_file(text)}:net")


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("no_such_file.py:net", PluginError, "there is no file no_such_file.py"),
        ("no_such_package:net", PluginError, "cannot import.*no_such_package"),
        (":", PluginError, "cannot import"),
    ],
)
def test_missing_factories_are_named(name, error, says):
    with pytest.raises(error, match=says):
        lookup.load_model(name)


@pytest.mark.parametrize(
    "text", ["def net(): exit(0)\n", "exit(0)\n", "def net(): raise ValueError('one\\ntwo')\n"]
)
def test_any_error_of_a_factory_becomes_one_line(user_file, text):
    with pytest.raises(PluginError) as caught:
        lookup.load_model(f"{user_file(text)}:net")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "x" * 300, "a\0b", "\udcff"])
def test_any_text_is_at_worst_an_unknown_name(name):
    for load in (lookup.load_model, lookup.load_recording, lookup.load_benchmark):
        with pytest.raises(UnknownNameError):
            load(name)
    with pytest.raises(IntegrityError, match="there is no such file"):
        lookup.load_recording(f"{name}.npz" if name else "folder/.npz.npz")
    with pytest.raises(PluginError, match="there is no file"):
        lookup.load_model(f"{name}.py:net")


@pytest.mark.parametrize("name", [3, None, b"tiny", ["tiny"]])
def test_a_name_that_is_not_text_is_refused(name):
    load = (lookup.load_model, lookup.load_recording, lookup.load_benchmark, lookup.load_object)
    register = (lookup.register_model, lookup.register_recording, lookup.register_benchmark)
    for call in (*load, *(functools.partial(one, factory=dict) for one in register)):
        with pytest.raises(ContractError, match="is named by a string, got"):
            call(name)
    for call in register:
        with pytest.raises(ContractError, match=r"got a .* to register, wanted a function"):
            call("mine", name)


def test_only_generated_recordings_take_a_number_of_images():
    lookup.register_recording("generated", tiny_recording)
    lookup.register_recording("whole", lambda: tiny_recording(16))
    assert lookup.load_recording("generated", n_images=12).n_images == 12
    assert lookup.load_recording("whole", n_images=12).n_images == 16


def test_unknown_options_of_a_factory_are_refused():
    with pytest.raises(ContractError, match=r"unexpected keyword argument 'size'.*image_size"):
        lookup.load_model("tiny:TinyModel", size=3)


@pytest.mark.parametrize(
    ("name", "option", "says"),
    [
        (
            "gru_shallow",
            {"cell": "lstm:shallow"},
            "no cell: .*cell='gru:GRU'; call model_zoo.networks.shallow.shallow_convrnn",
        ),
        (
            "gru_shallow",
            {"name": "x"},
            "no name: .*name='gru_shallow'; call model_zoo.networks.shallow.shallow_convrnn",
        ),
        (
            "rgc_intermediate_t22",
            {"on_ms": 250},
            "no on_ms: .*on_ms=220; call model_zoo.networks.median_convrnn.median_convrnn",
        ),
        ("ff", {"name": "x"}, "unexpected keyword argument 'name'"),
        ("gru_shallow", {"size": 3}, r"options are \(\*, image_size.*"),
    ],
)
def test_options_that_a_name_fixes_are_refused(name, option, says):
    assert not lookup.model_takes(name, *option)
    with pytest.raises(ContractError, match=says) as error:
        lookup.load_model(name, **option)
    assert "cell" not in str(error.value).partition("options are")[2]


def test_an_option_overrides_the_default_of_a_registered_name():
    lookup.register_model("mine", functools.partial(TinyModel, image_size=8))
    assert lookup.load_model("mine", image_size=4).image_size == 4


def test_factories_that_return_another_type_are_refused():
    lookup.register_recording("odd", dict)
    lookup.register_benchmark("odd", dict)
    with pytest.raises(ContractError, match="returned a dict, wanted a Recording"):
        lookup.load_recording("odd")
    with pytest.raises(ContractError, match="returned a dict, wanted a Benchmark"):
        lookup.load_benchmark("odd")


def test_a_recording_is_loaded_from_a_file(tmp_path):
    recording = tiny_recording()
    path = tmp_path / "mine.npz"
    np.savez(
        path,
        responses=recording.responses.values,
        images=recording.stimuli.values,
        region=recording.responses["region"].values,
    )
    loaded = lookup.load_recording(path)
    np.testing.assert_allclose(loaded.responses.values, recording.responses.values)


def test_files_that_are_not_recordings_are_refused(tmp_path):
    with pytest.raises(IntegrityError, match="there is no such file"):
        lookup.load_recording(tmp_path / "none.npz")
    (tmp_path / "mine.dat").write_bytes(b"of no known layout")
    with pytest.raises(
        ContractError, match=r"cannot tell the layout of .*mine\.dat.*a \.npz file, or netCDF"
    ):
        lookup.load_recording(tmp_path / "mine.dat")
    with pytest.raises(IntegrityError, match="Is a directory"):
        lookup.load_recording(tmp_path)
    (tmp_path / "bad.npz").write_bytes(b"not a zip file")
    with pytest.raises(brainfit.errors.BrainfitError, match=r"bad\.npz"):
        lookup.load_recording(tmp_path / "bad.npz")


@pytest.mark.parametrize("init", ["", "CATALOG = {}\n"])
def test_a_folder_that_hides_a_plugin_package_is_named(tmp_path, init):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text(init)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import brainfit\n"
        "try: brainfit.list_benchmarks()\n"
        "except brainfit.errors.PluginError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert str(tmp_path / "benchmarks" / "__init__.py") in done.stdout
    assert "hides the package 'benchmarks'" in done.stdout
