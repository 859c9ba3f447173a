"""Code on README and the pages of docs/ runs in the order in which it appears."""

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


def blocks(page: Path) -> list[str]:
    """Yield the Python blocks of a page; those that need more than brainfit are marked ``python no-run``."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


README = blocks(ROOT / "README.md")
PAGES = [page for page in sorted((ROOT / "docs").rglob("*.md")) if blocks(page)]


def test_custom_models_take_at_most_twenty_lines():
    models = [block for block in README if "from_module(" in block or "from_step(" in block]
    assert len(models) == 2
    for block in models:
        assert len([line for line in block.splitlines() if line.strip()]) <= 20


@pytest.mark.slow
def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    pooled = []
    for block in README:
        exec(compile(block, "README.md", "exec"), names)
        pooled.append(names["score"].pooled)
    assert np.isfinite(pooled[0]["normalized"])
    assert (tmp_path / "my-report" / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_python_block_of_the_docs_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks(page):
        exec(compile(block, page.name, "exec"), names)


def test_blocks_that_are_not_run_are_valid_python():
    text = (ROOT / "docs" / "your-own-model.md").read_text(encoding="utf-8")
    unrun = re.findall(r"```python no-run\n(.*?)```", text, flags=re.DOTALL)
    assert unrun
    for block in unrun:
        compile(block, "your-own-model.md", "exec")
