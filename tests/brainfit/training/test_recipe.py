"""Recipes: schedules and refused settings."""

import dataclasses

import pytest

from brainfit.errors import ContractError, IntegrityError, UnknownNameError
from brainfit.training.recipe import MINI, PAPER, Recipe


def test_the_recipe_of_the_paper_has_the_published_settings():
    stated = {
        "optimizer": "sgd",
        "momentum": 0.9,
        "learning_rate": 0.01,
        "batch_size": 128,
        "weight_decay": 1e-4,
        "clip_value": 0.7,
        "loss_steps": "last",
    }
    assert {name: getattr(PAPER, name) for name in stated} == stated
    rates = [PAPER.learning_rate_at(epoch / 90) for epoch in (0, 29, 31, 61, 81)]
    assert rates == pytest.approx([0.01, 0.01, 0.001, 1e-4, 1e-5])


def test_a_cosine_schedule_rises_and_falls_to_zero():
    rates = [MINI.learning_rate_at(share / 1000) for share in range(1001)]
    peak = rates.index(max(rates))
    assert max(rates) == pytest.approx(MINI.learning_rate)
    assert peak == 30
    assert rates[:31] == sorted(rates[:31])
    assert rates[30:] == sorted(rates[30:], reverse=True)
    assert rates[-1] == pytest.approx(0)


def test_a_file_changes_a_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('learning_rate = 0.1\nmilestones = [0.5]\nloss_steps = "all"\n')
    found = Recipe.from_file(path, MINI)
    assert found == dataclasses.replace(MINI, learning_rate=0.1, milestones=(0.5,), loss_steps="all")
    assert Recipe.from_dict(found.as_dict()) == found


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        (
            {"learning_rat": 1},
            UnknownNameError,
            "unknown field of a recipe 'learning_rat'; did you mean 'learning_rate'",
        ),
        ({"learning_rate": -1}, ContractError, "learning_rate is a number"),
        ({"optimizer": "lion"}, ContractError, "optimizer is 'sgd' or 'adamw'"),
        ({"batch_size": 0}, ContractError, "batch_size is a whole number"),
        ({"milestones": [2]}, ContractError, "milestones is a number"),
        ({"on_ms": 100}, ContractError, "both on_ms and off_ms"),
    ],
)
def test_invalid_recipes_are_refused(values, error, says):
    with pytest.raises(error, match=says):
        Recipe.from_dict(values)


def test_an_unreadable_file_is_one_line(tmp_path):
    (tmp_path / "bad.toml").write_text("epochs = = 3")
    for name in ("bad.toml", "none.toml"):
        with pytest.raises(IntegrityError, match=f"cannot read the recipe .*{name}"):
            Recipe.from_file(tmp_path / name)
