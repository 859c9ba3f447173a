"""Tests of the page about trained networks: its tables and numbers are those of the stored results."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "does-training-matter.md").read_text(encoding="utf-8")
BUILD = runpy.run_path(str(DOCS / "small-networks/build.py"), run_name="imported")
BLOCKS = {name: text for _, name, text in re.findall(r"(<!-- (\w+) -->\n)(.*?)<!-- end -->", PAGE, re.DOTALL)}
CONSTANTS = {"0.016"}
"""Numbers of the prose that are no results: chance."""


def test_the_page_has_every_table_as_the_results_make_it() -> None:
    assert BUILD["tables"]() == BLOCKS


@pytest.mark.parametrize("number", sorted(set(re.findall(r"\b0\.\d+", BUILD["BLOCK"].sub("", PAGE)))))
def test_a_number_of_the_prose_is_in_a_table(number: str) -> None:
    cells = set(re.findall(r"0\.\d+", " ".join(BLOCKS.values())))
    assert number in cells | CONSTANTS
