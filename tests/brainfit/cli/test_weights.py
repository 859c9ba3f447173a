import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import TinyModel, tiny_recording
from typer.testing import CliRunner

from brainfit.cli.app import app
from brainfit.registry import lookup
from model_zoo.weights import published

CKPT = Path(__file__).parents[2] / "golden" / "ckpt" / "rgc_intermediate"
# As somebody would write them; `net` is small enough to be scored in a moment.
MINE = """
from model_zoo.adapters import from_module
from model_zoo.networks.median_convrnn import median_convrnn
from model_zoo.weights.load import choose_image_size, set_weights
from torch import nn

def small(image_size=None, seed=0, weights="random"):
    return median_convrnn(image_size, seed, weights, channel_divisor=16, n_classes=50, name="small")

def net(seed=0, weights="random"):
    module = nn.Sequential(nn.Conv2d(3, 2, 3, stride=4))
    called = set_weights(module, weights, seed)
    return from_module(module, ["0"], 16, name="net", region_layers={"pIT": "0"}, weights=called)

def sized(image_size=4):
    return from_module(nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, 2)), ["1"], image_size)
"""


@pytest.fixture(autouse=True)
def _place(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("BRAINFIT_CACHE", str(tmp_path / "cache"))
    tiny = {"model": {"tiny": TinyModel}, "recording": {"tiny": tiny_recording}, "benchmark": {}}
    monkeypatch.setattr(lookup, "_REGISTERED", tiny)
    Path("mine.py").write_text(MINE)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], prog_name="brainfit")


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def assert_one_line(result, says):
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("brainfit: error: ")
    assert says in line


@pytest.mark.parametrize("command", [[], ["fetch"], ["convert"], ["info"]])
def test_help_has_an_example(command):
    assert f"Example: brainfit weights {' '.join(command)}" in done("weights", *command, "--help").stdout


def test_help_and_the_table_have_no_heavy_imports():
    for arguments in (["weights", "--help"], ["weights", "info"]):
        code = (
            f"import sys; sys.argv[1:] = {arguments}\n"
            "from brainfit.cli import main\n"
            "try: main()\n"
            "finally: print([m for m in ('torch', 'numpy') if m in sys.modules], file=sys.stderr)"
        )
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert result.stderr.strip() == "[]"
        assert result.stdout


def test_a_converted_checkpoint_is_named_and_verified(monkeypatch):
    result = done("weights", "convert", CKPT, "--model", "mine.py:small", "-o", "rgc.safetensors")
    assert result.stdout == "rgc.safetensors\n"
    assert "for small at 224 pixels" in result.stderr
    sha256 = hashlib.sha256(Path("rgc.safetensors").read_bytes()).hexdigest()

    facts = json.loads(done("weights", "info", "rgc.safetensors", "--json").stdout)
    assert facts["sha256"] == sha256
    assert (facts["model"], facts["image_size"], facts["source"]) == ("small", 224, "rgc_intermediate")
    assert sorted(facts["source_sha256"]) == ["model.ckpt.data-00000-of-00001", "model.ckpt.index"]
    text = done("weights", "info", "rgc.safetensors").stdout
    assert f"sha256: {sha256}\n" in text
    assert f"parameters: {facts['parameters']:,}\n" in text
    assert "decoder: none\n" in text

    check = ("check", "mine.py:small", "--json", "--image-size", 64)
    checked = json.loads(done(*check, "--weights", "rgc.safetensors").stdout)
    assert (checked["weights"], checked["image_size"]) == (f"sha256:{sha256}", 64)
    assert json.loads(done(*check).stdout)["weights"] == "random:0"

    again = run("weights", "convert", CKPT, "--model", "mine.py:small", "-o", "rgc.safetensors")
    assert_one_line(again, "is there already")


def test_convert_prints_json_and_takes_an_image_size():
    arguments = ("weights", "convert", CKPT, "--model", "mine.py:small", "-o", "w.safetensors")
    printed = json.loads(done(*arguments, "--image-size", 128, "--json").stdout)
    assert printed == json.loads(done("weights", "info", "w.safetensors", "--json").stdout)
    assert (printed["file"], printed["image_size"]) == ("w.safetensors", 128)


def test_weights_whose_shape_depends_on_the_image_size_need_that_size():
    import torch

    torch.save({"1.weight": torch.randn(2, 192), "1.bias": torch.zeros(2)}, "theirs.pth")
    arguments = ("weights", "convert", "theirs.pth", "--model", "mine.py:sized", "-o", "w.safetensors")
    assert_one_line(run(*arguments), "misshapen 1.weight (2, 192) instead of (2, 150528)")
    assert json.loads(done(*arguments, "--image-size", 8, "--json").stdout)["image_size"] == 8


def test_inconvertible_files_are_refused():
    def convert(source, model, out="w.safetensors"):
        return run("weights", "convert", source, "--model", model, "-o", out)

    assert_one_line(convert(CKPT, "tiny"), "'tiny' has no torch module")
    assert_one_line(convert(CKPT, "mine.py:net"), "only torch files")
    assert_one_line(convert(CKPT, "gru_shalow"), "did you mean 'gru_shallow'")
    assert_one_line(convert("none.ckpt", "mine.py:small"), "cannot read none.ckpt: No such file")
    assert_one_line(convert("mine.py", "mine.py:small"), "cannot read mine.py as a torch file")
    assert_one_line(convert(CKPT, "mine.py:small", "w.pth"), "ends on .safetensors")
    assert_one_line(convert(CKPT, "mine.py:small", "\udce4.safetensors"), "UTF-8")
    assert not list(Path.cwd().glob("*.safetensors"))
    nothing = convert("", "mine.py:small")
    assert nothing.exit_code == 2
    assert "got an empty text, wanted a path" in nothing.stderr


def test_score_takes_a_weights_file(tmp_path):
    import torch

    torch.save({"0.weight": torch.randn(2, 3, 3, 3), "0.bias": torch.zeros(2)}, "theirs.pth")
    assert_one_line(run("check", "mine.py:net", "--weights", "theirs.pth"), "convert them first")
    made = ("weights", "convert", "theirs.pth", "--model", "mine.py:net", "-o", "ours.safetensors", "--json")
    facts = json.loads(done(*made).stdout)
    assert facts["image_size"] == 16  # which the factory gives no choice of
    options = ("--model", "mine.py:net", "--recording", "tiny", "--region", "pIT", "--json")
    scores = {}
    for weights in ("ours.safetensors", tmp_path / "ours.safetensors", "random"):
        for seed in (0, 1):
            result = done("score", *options, "--weights", weights, "--seed", seed)
            scores[weights, seed] = json.loads(result.stdout)
            assert ("random" in result.stderr) == (weights == "random")
    ours = scores["ours.safetensors", 0]
    assert ours["weights"] == scores["ours.safetensors", 1]["weights"] == f"sha256:{facts['sha256']}"
    assert ours["run"] == "runs/net-tiny-pIT-0-ridge-ours-seed0"
    assert scores[tmp_path / "ours.safetensors", 1]["run"] == "runs/net-tiny-pIT-0-ridge-ours-seed1"
    assert scores["random", 0]["run"] == "runs/net-tiny-pIT-0-ridge-seed0"
    assert scores["random", 0]["weights"] == "random:0"
    report = Path(ours["report"]).read_text()
    assert "drawn and not trained" not in report
    assert "drawn and not trained" in Path(scores["random", 0]["report"]).read_text()


def test_weights_for_a_model_without_weights_are_refused():
    score = (
        "score",
        "--recording",
        "tiny",
        "--region",
        "pIT",
        "--weights",
        "a.safetensors",
        "--model",
        "tiny",
    )
    assert_one_line(run(*score), "'weights'; its options are")
    assert_one_line(run("check", "tiny", "--weights", "a.safetensors"), "'weights'; its options are")
    assert run("check", "tiny", "--weights", "random").exit_code == 0  # as for a score
    assert_one_line(run("check", "simulated", "--weights", "random"), "unknown model 'simulated'")


def test_the_table_lists_published_and_fetched_weights(monkeypatch):
    path = Path("here.safetensors").absolute()
    monkeypatch.setattr(published, "stored", {"gru_shallow": path}.get)
    rows = json.loads(done("weights", "info", "--json").stdout)
    assert [row["name"] for row in rows] == list(published.PUBLISHED)
    assert [row["name"] for row in rows if row["fetched"]] == ["gru_shallow"]
    assert all(row["image_size"] == 224 and row["model"] and row["source"] for row in rows)
    table = done("weights", "info").stdout
    assert all(row["name"] in table for row in rows)
    assert sum(" yes" in line for line in table.splitlines()) == 1


def test_control_characters_in_files_do_not_reach_the_terminal():
    import torch
    from safetensors.torch import save_file

    said = json.dumps({"source": "\x1b[2J\u202e", "source_sha256": {"a\x1b]0;": "00"}})
    save_file({"a": torch.ones(1)}, "w.safetensors", {"brainfit": said})
    text = done("weights", "info", "w.safetensors").stdout
    assert r"source: \x1b[2J\u202e" in text
    assert r"a\x1b]0; 00" in text
    assert "\x1b" not in text


def test_unfetched_and_unknown_names_give_advice(monkeypatch):
    assert_one_line(run("weights", "info", "gru_shallow"), "brainfit weights fetch gru_shallow")
    assert_one_line(run("weights", "info", "gru_shalow"), "did you mean 'gru_shallow'")
    assert_one_line(run("weights", "fetch", "gru_shalow"), "did you mean 'gru_shallow'")
    assert_one_line(run("check", "gru_shallow", "--weights", "gru_shallow"), "fetch gru_shallow")


def test_fetch_prints_the_path_of_the_weights(monkeypatch):
    monkeypatch.setattr(published, "fetch", lambda name: Path("somewhere", name))
    assert done("weights", "fetch", "gru_shallow").stdout == "somewhere/gru_shallow\n"
