"""Recurrent cells, one file a cell; what they have in common is `model_zoo.engine.node.Cell`."""

from importlib import import_module
from inspect import isclass, isfunction, signature
from pkgutil import iter_modules

from torch import nn

from brainfit.errors import ContractError
from brainfit.support.suggestions import unknown_name

from ..engine.node import Cell, CellContext, MakeCell

# Factor by which two of the authors' cells have fewer channels than x, in their shallow networks.
_NARROWER = {"conv3": 2, "conv4": 1, "conv5": 2}


def find_cell(cell: str | MakeCell) -> MakeCell:
    """Return what makes a cell: given as it is, or as ``file:name`` in this folder.

    Raises
    ------
    UnknownNameError
        If there is no such file, or nothing in it of that name that makes a cell of its context.
    ContractError
        If it is neither a string nor a function or class.

    Examples
    --------
    >>> find_cell("gru:GRU").__name__
    'GRU'
    """
    if isinstance(cell, str):
        files = [module.name for module in iter_modules(__path__)]
        file = cell.partition(":")[0]
        known = _makers(file) if file in files else {}
        if cell not in known:
            raise unknown_name("cell", cell, [name for each in files for name in _makers(each)])
        return known[cell]
    if not callable(cell) or isinstance(cell, nn.Module):
        raise ContractError(
            "a cell is a class or a function that makes one of its context, or a string such as 'gru:GRU', "
            f"got {type(cell).__name__}"
        )
    return cell


def shallow_channels(context: CellContext) -> int:
    """Return the channels of the authors' LSTM and plain cell, by layer: half as many as x, or as many."""
    narrower = _NARROWER.get(context.layer)
    if narrower is None or context.channels % narrower:
        raise ContractError(
            f"this cell is made for {', '.join(_NARROWER)} of shallow networks, of even numbers of channels, "
            f"got {context.layer} of {context.channels}; use the class that it is made of"
        )
    return context.channels // narrower


def _makers(file: str) -> dict[str, MakeCell]:
    """Return what in `file` makes a cell of its context alone: its own classes of cells, and functions."""
    module = import_module(f"{__name__}.{file}")
    return {
        f"{file}:{name}": value
        for name, value in vars(module).items()
        if (isfunction(value) or (isclass(value) and issubclass(value, Cell)))
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and sum(p.default is p.empty for p in signature(value).parameters.values()) == 1
    }
