import importlib
import pkgutil
import subprocess
import sys

import pytest

import brainfit

HEAVY = ("torch", "numpy", "xarray", "scipy", "sklearn", "matplotlib")


@pytest.mark.parametrize("name", brainfit.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(brainfit, name) is not None
    assert name in dir(brainfit)


def test_no_module_hides_a_function_of_the_same_name():
    for module in pkgutil.iter_modules(brainfit.__path__):
        importlib.import_module(f"brainfit.{module.name}")
    assert callable(brainfit.score)
    assert callable(brainfit.check_model)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = brainfit.nonsense  # pyright: ignore[reportAttributeAccessIssue]


def test_the_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert brainfit.__version__ == version("brainfit")


def test_importing_brainfit_loads_nothing_heavy():
    code = f"import sys, brainfit; brainfit.list_models(); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
