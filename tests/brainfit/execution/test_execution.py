"""`Execution` validates its settings when it is made, and no function takes these settings one by one."""

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from linear_recording import made_up

import brainfit
from brainfit import Execution
from brainfit.contracts.vocabulary import DEVICES, PRECISIONS
from brainfit.errors import ContractError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "gpu"}, "device is 'cpu' or 'cuda', got 'gpu'"),
        ({"device": None}, "device is 'cpu' or 'cuda', got None"),
        ({"precision": "float64"}, "precision is 'float32' or 'bfloat16', got 'float64'"),
        ({"batch_size": 0}, "batch_size is a whole number from 1 up, got 0"),
        ({"batch_size": 2.5}, "batch_size is a whole number from 1 up, got 2.5"),
        ({"batch_size": True}, "batch_size is a whole number from 1 up, got True"),
        ({"cache": "no"}, "cache is True or False, got 'no'"),
        ({"progress": 1}, "progress is True or False, got 1"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused(options, message):
    with pytest.raises(ContractError) as refused:
        Execution(**options)
    assert str(refused.value) == message


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("device", DEVICES)
def test_every_name_of_the_vocabulary_is_accepted(monkeypatch, device, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Execution(device, precision).device == device


def test_cuda_without_a_gpu_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ContractError, match="torch sees no GPU; use device 'cpu'"):
        Execution(device="cuda")


def test_numpy_integers_become_python_integers():
    size: Any = np.int64(8)
    assert type(Execution(batch_size=size).batch_size) is int


def public_functions():
    return [
        function
        for name in brainfit.__all__
        if inspect.isfunction(function := getattr(brainfit, name))
        and function.__module__.startswith("brainfit")
    ]


@pytest.mark.parametrize("function", public_functions(), ids=lambda function: function.__name__)
def test_no_public_function_copies_the_settings(function):
    if function is not brainfit.check_model:  # checks a model where it is, without an Execution
        assert not {field.name for field in fields(Execution)} & set(inspect.signature(function).parameters)


def test_a_surrounding_autocast_is_refused():
    recording, model = made_up(n_images=24)
    with (
        torch.autocast("cpu", torch.bfloat16),
        pytest.raises(ContractError, match=r"inside torch\.autocast.*precision 'bfloat16'"),
    ):
        brainfit.score(model, recording, region="pIT")


def test_other_types_in_place_of_an_execution_are_refused():
    recording, model = made_up(n_images=24)
    wrong: Any = "cuda"
    with pytest.raises(ContractError, match=r"execution is a brainfit\.Execution, got str"):
        brainfit.score(model, recording, region="pIT", execution=wrong)
