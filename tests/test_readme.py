"""What the README says to type works, in the order in which it says it."""

import re
from pathlib import Path

import numpy as np
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_custom_models_take_at_most_twenty_lines():
    models = [block for block in BLOCKS if "from_module(" in block or "from_step(" in block]
    assert len(models) == 2
    for block in models:
        assert len([line for line in block.splitlines() if line.strip()]) <= 20


@pytest.mark.slow
def test_every_python_block_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    pooled = []
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
        pooled.append(names["score"].pooled)
    assert np.isfinite(pooled[0]["normalized"])
    assert (tmp_path / "my-report" / "report.html").is_file()
