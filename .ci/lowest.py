"""Print a constraint for each requirement of pyproject.toml: the lowest version that it allows.

torch is left out: its older versions come without a build for CPUs alone from the package index, and bring
gigabytes of CUDA. Its version in constraints.txt is printed instead.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in (*project["dependencies"], *extras["nwb"], *extras["tables"], *extras["test"]):
    if found := re.fullmatch(r"([\w.-]+)>=([\d.]+)", requirement):
        name, lowest = found.groups()
        if name != "torch":
            sys.stdout.write(f"{name}=={lowest}\n")
pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
sys.stdout.write(re.search(r"^torch==.*$", pinned, re.MULTILINE)[0] + "\n")
