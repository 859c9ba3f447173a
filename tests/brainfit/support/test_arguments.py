"""Arguments become plain Python values, or are refused in one line."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from brainfit.errors import ContractError, UnknownNameError
from brainfit.support.arguments import fraction, number, one_of, text, whole_number
from brainfit.support.seeds import generator
from brainfit.support.suggestions import unknown_name


@pytest.mark.parametrize(
    ("taken", "plain"),
    [
        (whole_number("n", np.int16(3)), 3),
        (whole_number("n", 0), 0),
        (whole_number("n", 2**80, least=5), 2**80),
        (number("x", np.float32(0.5), 0, 1), 0.5),
        (number("x", 1, 0, 1), 1.0),
        (fraction("x", Fraction(1, 4)), 0.25),
        (text("name", np.str_("conv 7, é")), "conv 7, é"),
        (text("name", ""), ""),
        (one_of("device", "cpu", ("cpu", "cuda")), "cpu"),
    ],
)
def test_valid_arguments_become_plain_values(taken, plain):
    assert taken == plain
    assert type(taken) is type(plain)


ODD = [
    None,
    True,
    "1",
    b"1",
    [],
    {},
    1j,
    float("nan"),
    float("inf"),
    -1,
    np.arange(3),
    np.zeros((40, 40)),
    object(),
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "check",
    [
        lambda value: whole_number("it", value),
        lambda value: number("it", value, 0, 1),
        lambda value: fraction("it", value),
        lambda value: one_of("it", value, ("cpu", "cuda")),
        lambda value: text("it", "\ud800" if isinstance(value, str) else value),
    ],
    ids=["whole_number", "number", "fraction", "one_of", "text"],
)
def test_invalid_arguments_are_refused_in_one_line(check, value):
    with pytest.raises(ContractError, match=r"^it is .*, got ") as caught:
        check(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("check", "line"),
    [
        (lambda: whole_number("batch_size", 0, least=1), "batch_size is a whole number from 1 up, got 0"),
        (lambda: number("x", 2, 0, 1), "x is a number from 0 to 1, got 2"),
        (lambda: fraction("x", 1), "x is a number strictly between 0 and 1, got 1"),
        (lambda: one_of("device", "gpu", ("cpu", "cuda")), "device is 'cpu' or 'cuda', got 'gpu'"),
        (lambda: text("layer", "a\nb"), r"layer is text of printable characters, got 'a\nb'"),
    ],
)
def test_the_message_names_the_wanted_and_the_given_value(check, line):
    with pytest.raises(ContractError) as caught:
        check()
    assert str(caught.value) == line


@pytest.mark.parametrize("seed", [None, 0.5, "0", -1, True])
def test_a_seed_must_be_a_whole_number(seed):
    with pytest.raises(ContractError, match="a seed is a whole number from 0 up"):
        generator(seed, "test")


def test_a_numpy_integer_is_the_same_seed():
    seed: Any = np.int64(3)
    assert generator(seed, "test").random() == generator(3, "test").random()


@pytest.mark.parametrize("got", [None, 3, ["V4"], np.arange(2)])
def test_a_name_of_any_type_can_be_reported_as_unknown(got):
    error = unknown_name("region", got, ("V4", "pIT"))
    assert isinstance(error, UnknownNameError)
    assert str(got) in str(error)


@pytest.mark.parametrize("wrap", [np.asarray, lambda value: np.asarray(value)[()]])
def test_numpy_scalars_are_accepted_everywhere(wrap):
    for got, wanted in (
        (whole_number("x", wrap(3)), 3),
        (number("x", wrap(0.5), 0, 1), 0.5),
        (fraction("x", wrap(np.float32(0.5))), 0.5),
        (text("x", wrap("a")), "a"),
        (one_of("x", wrap("a"), ["a"]), "a"),
    ):
        assert (got, type(got)) == (wanted, type(wanted))
    for value in (wrap(True), wrap(1.5), wrap("3")):
        with pytest.raises(ContractError):
            whole_number("x", value)
