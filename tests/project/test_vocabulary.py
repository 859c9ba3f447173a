"""Every set of names that users choose from is written in one module only."""

import ast
from pathlib import Path

import pytest

from brainfit.contracts import vocabulary

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "brainfit" / "contracts" / "vocabulary.py"
MODULES = [
    path
    for package in ("brainfit", "benchmarks", "data_loaders", "model_zoo")
    for path in sorted((ROOT / package).rglob("*.py"))
    if path != SOURCE
]
SETS = {
    name: frozenset(value)
    for name, value in vars(vocabulary).items()
    if name.isupper() and isinstance(value, (tuple, dict))
}


def lists(tree):
    """Yield the texts of every tuple, list, set, `Literal` and enumeration of a module."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            yield node.lineno, [getattr(item, "value", None) for item in node.elts]
        elif isinstance(node, ast.ClassDef):
            values = [item.value for item in node.body if isinstance(item, ast.Assign)]
            yield node.lineno, [getattr(value, "value", None) for value in values]


def repeated(text):
    """Return the lines at which a set of the vocabulary stands in a module's text, with its name."""
    found = []
    for line, values in lists(ast.parse(text)):
        names = frozenset(value for value in values if isinstance(value, str))
        found += [(line, name) for name, words in SETS.items() if len(words) > 1 and words == names]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_set_of_names_is_written_twice(path):
    assert repeated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "X = ['sgd', 'ridge', 'factorized', 'pls']",
        "X: Literal['cpu', 'cuda']",
        "class Device(StrEnum):\n    cpu = 'cpu'\n    cuda = 'cuda'",
        "for name in ('early', 'late'): pass",
    ],
)
def test_a_repeated_set_is_detected(text):
    assert len(repeated(text)) == 1


def test_the_vocabulary_imports_nothing_of_brainfit():
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"typing"}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
