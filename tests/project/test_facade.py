import importlib
import pkgutil
import subprocess
import sys

import pytest

import brainfit

HEAVY = ("torch", "numpy", "xarray", "scipy", "sklearn", "matplotlib")


@pytest.mark.parametrize("name", brainfit.__all__)
def test_every_name_that_is_offered_is_there(name):
    assert getattr(brainfit, name) is not None
    assert name in dir(brainfit)


def test_no_module_hides_a_function_of_its_name():
    for module in pkgutil.iter_modules(brainfit.__path__):
        importlib.import_module(f"brainfit.{module.name}")
    assert callable(brainfit.score)
    assert callable(brainfit.check_model)


def test_a_name_that_is_not_offered_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = brainfit.nonsense  # pyright: ignore[reportAttributeAccessIssue]


def test_version_is_that_of_the_installed_package():
    from importlib.metadata import version

    assert brainfit.__version__ == version("brainfit")


def test_import_is_cheap():
    code = f"import sys, brainfit; brainfit.list_models(); print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
