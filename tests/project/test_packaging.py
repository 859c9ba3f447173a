import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("brainfit", "benchmarks", "data_loaders", "model_zoo")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def canonical(requirement):
    """Return the name of a requirement in its normalised spelling."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def shipped():
    """Return the files a wheel must hold: all files of the four packages except compiled ones."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_a_typing_marker(package):
    assert (ROOT / package / "py.typed").exists()


def test_every_dependency_is_pinned_for_tests():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[^+\s]+", pin) for pin in pins)
    assert "torch==2.13.0" in pins
    extras = PROJECT["optional-dependencies"]
    asked = [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]
    needed = {canonical(line) for line in asked} - {"brainfit"}
    assert needed <= {canonical(pin) for pin in pins}


@pytest.mark.slow
def test_the_wheel_holds_exactly_the_four_packages(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT]
    subprocess.run(build, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("brainfit-*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licenses = [name for name in wheel.namelist() if name.endswith("licenses/LICENSE")]
    assert names == set(shipped())
    assert {"brainfit/__init__.pyi", "brainfit/py.typed"} <= names
    assert licenses
