"""The import table of docs/architecture.md, enforced."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = ("model_zoo", "data_loaders", "benchmarks")
MODULES = [path for package in ("brainfit", *PLUGINS) for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path):
    """Top-level names of the absolute imports of a module, wherever in it they stand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_a_plugin_package(path):
    """The core knows plug-ins by name only; one imports the core, and itself relatively."""
    assert not set(imported(path)) & {*PLUGINS, "tests"}
