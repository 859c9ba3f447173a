"""The help of every command, the commands shown in README and docs/, and shell completion."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.cli.parsing import PANELS
from brainfit.registry import lookup

ROOT = Path(__file__).parents[3]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/decisions").glob("*.md")),
]
BRAINFIT = get_command(app)
MORE = "…"


def below(command):
    """Return the commands of a group; a plain command has none."""
    return getattr(command, "commands", {})


def commands(command=BRAINFIT, path=("brainfit",)):
    """Yield all commands and groups with their full names."""
    yield " ".join(path), command
    for name, part in below(command).items():
        yield from commands(part, (*path, name))


COMMANDS = dict(commands())


def find(line):
    """Return the command that a line calls, and the remaining words."""
    words = shlex.split(line, comments=True)
    assert words.pop(0) == "brainfit"
    command = BRAINFIT
    while words and words[0] in below(command):
        command = below(command)[words.pop(0)]
    if below(command):  # a group alone is valid, unless an unknown command follows
        assert not words or words[0].startswith(("-", MORE)), f"{line}: no command {words[0]!r}"
    return command, words


def options(command):
    return {name: p for p in command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")}


def check(line):
    """Check that a line is valid; one that ends with … may lack required arguments."""
    command, words = find(line)
    known = {**options(command), "--help": None}
    if command is BRAINFIT and words and words[0] == "--debug":
        return
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in known, f"{line}: no option {word}"
    if MORE not in words and "--help" not in words and not below(command):
        command.make_context("brainfit", words)  # parses without calling


def lines(page):
    """Return the commands in blocks of a page, and those within sentences."""
    text = re.sub(r" \\\n +", " ", page.read_text(encoding="utf-8"))  # joins continued lines
    blocks = re.findall(r"^(?:    )?(?:\$ )?(brainfit [^`\n]+)$", text, flags=re.MULTILINE)
    blocks = [line for line in blocks if f"    {line}" in text or f"$ {line}" in text]
    spoken = re.findall(r"`(brainfit [^`]+)`", text)
    return blocks, [" ".join(line.split()) for line in spoken if "COMMAND" not in line]


def test_an_invalid_line_is_detected():
    for line in (
        "brainfit scor --model ff",
        "brainfit score --model ff --regionz pIT",
        "brainfit data fly x",
    ):
        with pytest.raises((AssertionError, Exception), match=r"no command|no option|[Uu]nexpected|extra"):
            check(line)
    with pytest.raises(Exception, match=r"[Mm]issing"):
        check("brainfit score --region pIT")
    with pytest.raises(Exception, match=r"cudda"):
        check("brainfit score --model ff --region pIT --device cudda")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_on_pages_are_valid(page):
    blocks, spoken = lines(page)
    for line in blocks:
        check(line)
    for line in spoken:
        check(line if line.split()[-1] == MORE else f"{line} {MORE}")


def test_pages_contain_commands():
    assert len(lines(ROOT / "README.md")[0]) > 10
    assert sum(len(spoken) for _, spoken in map(lines, PAGES)) > 20


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_one_sentence_and_a_valid_example(name):
    command = COMMANDS[name]
    first, *paragraphs = [" ".join(part.split()) for part in (command.help or "").split("\n\n")]
    assert re.fullmatch(r"[A-Z][^.]*\.", first), first
    examples = [part.removeprefix("Example: ") for part in paragraphs if part.startswith("Example: ")]
    assert len(examples) == 1
    called, _ = find(examples[0])
    assert called is command or called in below(command).values()
    check(examples[0])


@pytest.mark.parametrize("name", [name for name, c in COMMANDS.items() if below(c)])
def test_the_list_of_commands_shows_whole_sentences(name):
    for part in below(COMMANDS[name]).values():
        assert not part.get_short_help_str(62).endswith("..."), part.name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_has_a_help_text(name):
    for parameter in COMMANDS[name].params:
        said = getattr(parameter, "help", None)
        assert said, parameter.name
        assert said.strip().endswith("."), parameter.name


def test_every_command_that_prints_a_result_can_print_json():
    without = {"brainfit report", "brainfit data fetch", "brainfit data convert", "brainfit weights fetch"}
    for name, command in COMMANDS.items():
        if not below(command):
            assert ("--json" in options(command)) is (name not in without), name


def complete(line):
    """Return the completions of the last word of a line, as bash receives them."""
    words = line.split(" ")
    place = {"_BRAINFIT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    code = (
        "import sys\n"
        "from brainfit.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('torch', 'numpy', 'xarray') if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **place}, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"
    return done.stdout.split()


COMPLETED = [
    ("brainfit ce", ["ceiling"]),
    ("brainfit score --mod", ["--model"]),
    ("brainfit score --model median", [n for n in lookup.list_models() if n.startswith("median")]),
    ("brainfit score --model ff --region p", ["pIT"]),
    ("brainfit score --recording maj", ["majaj2015", "majaj2015-static"]),
    ("brainfit score --benchmark simulated-p", ["simulated-pIT"]),
    ("brainfit layers --model resnet3", ["resnet34"]),
    ("brainfit ceiling --region V", ["V1", "V2", "V4"]),
    ("brainfit inter-animal --recording sim", ["simulated", "simulated-v1"]),
    ("brainfit draw median_convrnn_n", ["median_convrnn_nofeedback"]),
    ("brainfit check freeman", ["freemanziemba2013"]),
    ("brainfit data fetch maj", ["majaj2015", "majaj2015-static"]),
    ("brainfit data info sim", ["simulated", "simulated-v1"]),
    ("brainfit weights convert --model lstm_s", ["lstm_shallow"]),
    ("brainfit list m", ["models"]),
]


@pytest.mark.parametrize(("line", "wanted"), COMPLETED, ids=lambda value: str(value)[:50])
def test_completion_offers_names_without_heavy_imports(line, wanted):
    start = time.perf_counter()
    assert complete(line) == wanted
    assert time.perf_counter() - start < 10  # 0.3 s on an idle machine


def test_registered_names_are_completed(monkeypatch):
    from brainfit.cli import completion

    monkeypatch.setitem(lookup._REGISTERED["model"], "mine", object)
    assert completion.models("mi") == ["mine"]
    assert completion.models_and_recordings("s") == [
        name for name in (*lookup.list_models(), *lookup.list_recordings()) if name.startswith("s")
    ]


def test_completion_knows_every_region():
    from brainfit.cli import completion
    from brainfit.contracts.vocabulary import REGIONS

    assert completion.regions("") == [*REGIONS, "IT"]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_speaks_in_words_and_not_in_types(name):
    words = name.split()[1:]
    text = CliRunner().invoke(app, [*words, "--help"], prog_name="brainfit", terminal_width=200).stdout
    assert not re.search(r"<(int|str|float|path)( range)?>|[<>]=\d|: \(|INTEGER", text)
    shown = {option for parameter in COMMANDS[name].params for option in parameter.opts if option[0] == "-"}
    assert all(f"{option} " in text for option in shown)


def test_many_options_stand_in_sections():
    text = CliRunner().invoke(app, ["score", "--help"], prog_name="brainfit").stdout
    assert re.findall(r"^(\w+):$", text, flags=re.MULTILINE) == [*PANELS, "Options"]
    assert text.count("--seed NUMBER") == 1
    few = CliRunner().invoke(app, ["ceiling", "--help"], prog_name="brainfit").stdout
    assert re.findall(r"^(\w+):$", few, flags=re.MULTILINE) == ["Options"]


def test_each_parameter_of_a_section_exists():
    names = {parameter.name for command in COMMANDS.values() for parameter in command.params}
    known = [name for members in PANELS.values() for name in members]
    assert len(known) == len(set(known))
    assert len(set(known) - names) <= 5  # of options that are being added
