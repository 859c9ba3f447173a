"""Text of others cannot act on the terminal, whichever way it is printed."""

import logging

import pytest
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.cli.output import note, print_fact, print_table, user_code
from brainfit.registry import lookup
from brainfit.support.messages import one_line
from brainfit.support.progress import progress_bar

HOSTILE = "a\x1b[2Jb\x07c\x9bd\u202ee\x00f\x7fg\r\nh[red]i"
SAFE = r"a\x1b[2Jb\x07c\x9bd\u202ee\x00f\x7fg h[red]i"


def log(text):
    with user_code():
        logging.getLogger("model_zoo.adapters").warning("%s", text)


def show_progress(text):
    with progress_bar(text, 1, shown=True) as on_progress:
        on_progress(1)


PRINTED = {
    "note": note,
    "log": log,
    "fact": lambda text: print_fact("name", text),
    "name of a fact": lambda text: print_fact(text, "value", indent="  "),
    "title": lambda text: print_table(["a"], [["b" * 60]], title=text),
    "cell": lambda text: print_table(["a"], [[text]]),
    "column": lambda text: print_table([text], [["b"]]),
    "progress": show_progress,
}


@pytest.mark.parametrize("way", PRINTED)
def test_control_characters_are_escaped(way, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    PRINTED[way](HOSTILE)
    printed = "".join(capsys.readouterr())
    left = set(printed) - {"\n"}
    assert all(character.isprintable() for character in left), sorted(left)
    for part in SAFE.split():  # the lines of a cell stay lines
        assert part in printed


def test_one_line_escapes_all_and_only_what_is_not_printable():
    for number in range(0x3000):
        got = one_line(f"a{chr(number)}b")
        assert got.isprintable()
        assert len(got.splitlines()) == 1
        if chr(number).isprintable() and not chr(number).isspace():
            assert got == f"a{chr(number)}b"
    assert one_line("\ud800") == r"\ud800"


def fails():
    raise RuntimeError(f"boom {HOSTILE}")


class Fails(TinyModel):
    def unroll(self, images, presentation, layers):
        raise ValueError(f"boom {HOSTILE}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "broken"],
        ["check", "failing"],
        ["score", "--model", "failing", "--recording", "tiny", "--region", "pIT", "--no-cache"],
    ],
)
def test_the_error_of_a_model_is_one_safe_line(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    registered = {"model": {"broken": fails, "failing": Fails}, "recording": {"tiny": tiny_recording}}
    monkeypatch.setattr(lookup, "_REGISTERED", {**registered, "benchmark": {}})
    result = CliRunner().invoke(app, arguments, prog_name="brainfit")
    assert result.exit_code == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("brainfit: error: ")
    assert f"boom {SAFE}" in last
