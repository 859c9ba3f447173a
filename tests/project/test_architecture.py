"""Enforce the layout of docs/architecture.md: which folder may import which, and the purpose of each."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ("model_zoo", "data_loaders", "benchmarks")
ORDER = {
    "brainfit": (
        "cli", "report", "plot", "figures", "analyses", "scoring", "features",
        "training", "mappings", "execution", "registry", "statistics", "contracts", "storage",
        "support", "errors",
    ),
    "model_zoo": ("catalog", "networks", "adapters", "decoders", "cells", "weights", "engine"),
    "data_loaders": (
        "catalog", "layouts", "published", "brainio", "nwb", "hvm", "tvsd", "netcdf", "tables", "matlab",
        "arrays", "tasks", "simulated",
        "trials", "images", "files",
    ),
}  # fmt: skip
"""The parts of each package, highest first: a part imports only itself and what stands after it."""
MODULES = [path for package in ("brainfit", *PLUGINS) for path in sorted((ROOT / package).rglob("*.py"))]
FOLDERS = sorted({path.parent for path in MODULES})


def name_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imported(path):
    """Yield the names of all modules, and of members that may be modules, imported anywhere in a file."""
    package = name_of(path) if path.name == "__init__.py" else name_of(path)[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = (*base, *(node.module.split(".") if node.module else ()))
            yield from ((*base, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_the_table(path):
    package, *rest = name_of(path)
    order = ORDER.get(package, ())
    part = rest[0] if rest else None
    for name in imported(path):
        top, *inside = name
        allowed = {package, "brainfit"} if package in PLUGINS else {"brainfit"}
        assert top in allowed or top not in {"brainfit", *PLUGINS, "tests"}, f"imports {'.'.join(name)}"
        if top == package and part in order and inside and inside[0] in order:
            assert order.index(inside[0]) >= order.index(part), f"{part} imports {'.'.join(name)}, above it"


def test_every_part_has_a_place_in_the_table():
    for package, order in ORDER.items():
        found = {path.stem for path in (ROOT / package).iterdir() if path.suffix == ".py" or has_code(path)}
        assert found - {"__init__", "__main__"} == {*order}


def has_code(folder):
    return (folder / "__init__.py").is_file()


def test_no_two_modules_import_each_other():
    modules = {name_of(path): {name[: len(name)] for name in imported(path)} for path in MODULES}
    edges = {
        module: {
            target
            for name in names
            for target in (name, name[:-1])
            if target in modules and target != module and target != module[: len(target)]
        }
        for module, names in modules.items()
    }
    done, path = set(), []

    def visit(module):
        assert module not in path, " -> ".join(".".join(m) for m in [*path[path.index(module) :], module])
        if module in done:
            return
        path.append(module)
        for target in sorted(edges[module]):
            visit(target)
        path.pop()
        done.add(module)

    for module in sorted(modules):
        visit(module)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_folder_is_listed_with_its_sentence(folder):
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    assert text
    assert text.splitlines()[0].endswith(".")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    if folder.relative_to(ROOT) == Path("brainfit"):
        return  # described by the whole page
    assert f"| `{folder.relative_to(ROOT)}/` | {text.splitlines()[0].replace('``', '`')} |" in page
