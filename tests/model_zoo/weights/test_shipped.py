"""Tests of the trained weights that come with brainfit."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import safetensors.torch
import torch

import brainfit
from brainfit.contracts.vocabulary import TRAINED_ON_OBJECTS
from brainfit.errors import ContractError
from brainfit.execution import Execution
from brainfit.registry.tasks import load_task
from brainfit.scoring.notices import model_notices
from brainfit.training.validation import validate
from model_zoo.catalog import CATALOG
from model_zoo.engine.graph import GraphModel
from model_zoo.weights.file import read_info
from model_zoo.weights.load import find_weights, shipped
from model_zoo.weights.published import PUBLISHED

TRAINED = [name for name, entry in CATALOG.items() if entry.weights[0] == "trained"]
MEGABYTE = 1e6


def file_of(name: str) -> Any:
    path = shipped(name)
    assert path is not None
    return path


def card_of(name: str) -> dict[str, Any]:
    return json.loads(file_of(name).with_suffix(".json").read_text(encoding="utf-8"))


def test_all_small_networks_come_with_weights_of_the_same_recipe_task_and_number_of_images() -> None:
    assert set(TRAINED) == {name for name in CATALOG if name.endswith("_mini")}
    cards = [card_of(name) for name in TRAINED]
    for key in ("recipe", "task_content", "images_seen", "image_size", "seeds_trained", "command"):
        assert all(card[key] == cards[0][key] for card in cards), key


@pytest.mark.parametrize("name", TRAINED)
def test_a_card_describes_its_file(name: str) -> None:
    path, card = file_of(name), card_of(name)
    info = read_info(path)
    assert info.model == card["model"] == name
    assert info.source == f"{TRAINED_ON_OBJECTS}, {card['images_seen']} images"
    assert info.parameters == card["parameters"] == CATALOG[name].parameters
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    low, high = card["accuracy"]["interval"]
    assert 10 * card["chance"] < low < card["accuracy"]["last"] < high < 0.95
    assert card["accuracy"]["last"] == pytest.approx(card["accuracy_before_rounding"], abs=0.005)


def test_the_files_are_small() -> None:
    sizes = [file_of(name).stat().st_size for name in TRAINED]
    assert max(sizes) < 2.5 * MEGABYTE
    assert sum(sizes) < 10 * MEGABYTE


@pytest.mark.parametrize("name", TRAINED)
def test_the_default_weights_are_those_of_the_file(name: str) -> None:
    model = brainfit.load_model(name)
    assert isinstance(model, GraphModel)
    assert model.weights == f"sha256:{card_of(name)['sha256']}"
    assert model.weights_source.startswith(TRAINED_ON_OBJECTS)
    held = safetensors.torch.load_file(file_of(name))
    assert all(torch.equal(values, held[key].float()) for key, values in model.state_dict().items())
    assert find_weights(name) == file_of(name)


def test_a_network_that_was_changed_forgets_its_source() -> None:
    model = brainfit.load_model("ff_mini")
    assert isinstance(model, GraphModel)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert (model.weights_source, model.weights.startswith("unknown")) == ("", True)


def test_a_folder_of_the_same_name_does_not_replace_the_weights(tmp_path, monkeypatch) -> None:
    (tmp_path / "ff_mini").mkdir()
    monkeypatch.chdir(tmp_path)
    assert brainfit.load_model("ff_mini").weights == f"sha256:{card_of('ff_mini')['sha256']}"


@pytest.mark.parametrize(
    ("weights", "title"), [("trained", "Trained on rendered objects"), ("random", "Random weights")]
)
def test_a_score_remarks_on_the_training(weights: str, title: str) -> None:
    (remark,) = model_notices(brainfit.load_model("ff_mini", weights=weights))
    assert remark.title == title


def test_random_weights_can_name_their_seed() -> None:
    named, seeded = (
        brainfit.load_model("ff_mini", weights="random:3"),
        brainfit.load_model("ff_mini", weights="random", seed=3),
    )
    assert named.weights == seeded.weights == "random:3, readout x 0.01"
    assert isinstance(named, GraphModel)
    assert isinstance(seeded, GraphModel)
    assert all(torch.equal(a, b) for a, b in zip(named.parameters(), seeded.parameters(), strict=True))
    assert named.weights_source == ""


@pytest.mark.parametrize("weights", ["random:", "random:x", "random:-1", "random:1.5", f"random:{2**64}"])
def test_a_seed_that_is_no_number_is_refused(weights: str) -> None:
    with pytest.raises(ContractError, match=r"random:SEED|at most"):
        brainfit.load_model("ff_mini", weights=weights)


def test_trained_weights_with_other_classes_are_refused() -> None:
    with pytest.raises(ContractError, match="64 classes, got n_classes=8; give weights='random'"):
        brainfit.load_model("ff_mini", n_classes=8)


def test_the_catalogue_lists_the_models_that_have_published_weights() -> None:
    for row in PUBLISHED.values():
        assert "published" in CATALOG[row.model].weights


@pytest.mark.slow  # renders the objects of the task
@pytest.mark.parametrize("name", TRAINED)
def test_the_accuracy_of_the_card_is_that_of_the_file(name: str) -> None:
    card = card_of(name)
    task = load_task("objects", image_size=card["image_size"])
    assert task.content == card["task_content"]
    model = brainfit.load_model(name)
    assert isinstance(model, GraphModel)
    found = validate(model, task, model.presentation, Execution())
    assert found.by_decoder["last"] == pytest.approx(card["accuracy"]["last"], abs=2 / task.n_val)
