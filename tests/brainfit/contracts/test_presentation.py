"""Presentations as timelines, and trajectories that store each distinct block once."""

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from brainfit.contracts.presentation import Presentation, Run
from brainfit.contracts.trajectory import Trajectory
from brainfit.errors import ContractError


def test_the_default_presentation_is_that_of_the_paper():
    presentation = Presentation()
    assert presentation.n_steps == 25
    assert presentation.timeline == (Run("image", 10), Run("gray", 15))
    assert presentation.background_space == "normalized"


def test_a_presentation_without_gray_has_a_single_run():
    assert Presentation(on_ms=250, off_ms=0).timeline == (Run("image", 25),)


@pytest.mark.parametrize(("space", "gray"), [("normalized", 0.5), ("pixel", (0.5 - 0.4) / 0.2)])
def test_frames_follow_both_conventions_of_gray(space, gray):
    images = torch.rand(3, 3, 4, 4)
    shown = list(Presentation(background_space=space).frames(images, lambda pixels: (pixels - 0.4) / 0.2))
    assert [steps for _, steps in shown] == [10, 15]
    torch.testing.assert_close(shown[0][0], (images - 0.4) / 0.2)
    assert shown[1][0].shape == (1, 3, 4, 4)
    torch.testing.assert_close(shown[1][0], torch.full((1, 3, 4, 4), gray))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_ms": 95}, "whole numbers of step_ms=10"),
        ({"off_ms": 7}, "whole numbers of step_ms=10"),
        ({"on_ms": 0}, "on_ms is a whole number from 1 up, got 0"),
        ({"step_ms": 0}, "step_ms is a whole number from 1 up, got 0"),
        ({"on_ms": 100.0}, "on_ms is a whole number"),
        ({"on_ms": "100"}, "got '100'"),
        ({"off_ms": None}, "off_ms is a whole number from 0 up, got None"),
        ({"off_ms": -10}, "off_ms is a whole number from 0 up"),
        ({"step_ms": True}, "got True"),
        ({"background_space": "grey"}, "'normalized' or 'pixel'"),
        ({"background_space": ["pixel"]}, "'normalized' or 'pixel'"),
        (
            {"background": float("nan")},
            "background in normalized space is a number from -100 to 100, got nan",
        ),
        ({"background": "gray"}, "got 'gray'"),
        ({"background": 1e30}, "from -100 to 100"),
        ({"background": 127, "background_space": "pixel"}, "in pixel space is a number from 0 to 1, got 127"),
    ],
)
def test_impossible_durations_are_refused(options, message):
    with pytest.raises(ContractError, match=message):
        Presentation(**options)


def test_numpy_numbers_become_python_numbers():
    numbers: list[Any] = [np.int64(50), np.uint8(100), np.int32(10), np.float32(0.25)]
    presentation = Presentation(*numbers)
    assert json.loads(json.dumps(asdict(presentation)))["on_ms"] == 50
    assert presentation == Presentation(50, 100, 10, 0.25)


def test_steps_that_are_the_same_tensor_share_a_block():
    a, b = torch.rand(1, 2), torch.rand(4, 2)
    trajectory = Trajectory.from_steps([a, a, b, b, b, a])
    assert trajectory.index == (0, 0, 1, 1, 1, 0)
    assert trajectory.run_lengths == (3, 3)
    assert trajectory.dense().shape == (4, 6, 2)
    torch.testing.assert_close(trajectory.dense()[2], torch.stack([a[0], a[0], b[2], b[2], b[2], a[0]]))


def test_averaging_over_bins_keeps_and_shares_blocks():
    blocks = tuple(torch.rand(2, 3) for _ in range(3))
    chosen = Trajectory(blocks, (0, 0, 1, 2)).average([[3], [0], [0, 1], [1, 2, 3]])
    assert chosen.index == (0, 1, 1, 2)
    assert chosen.blocks[0] is blocks[2]
    assert chosen.blocks[1] is blocks[0]
    torch.testing.assert_close(chosen.blocks[2], sum(blocks) / 3)
    assert len(chosen.blocks) == 3


@pytest.mark.parametrize("index", [(0, 2), (0,), ()])
def test_an_index_without_matching_blocks_is_refused(index):
    with pytest.raises(ContractError, match="must use each of its 2 blocks"):
        Trajectory((torch.rand(1, 1), torch.rand(1, 1)), index)
