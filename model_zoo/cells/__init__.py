"""Recurrent cells, one file a cell; what they have in common is `model_zoo.node.Cell`."""

from importlib import import_module

from ..node import MakeCell


def find(cell: str | MakeCell) -> MakeCell:
    """Return what makes a cell: given as it is, or as ``file:attribute`` in this folder."""
    if not isinstance(cell, str):
        return cell
    module, _, attribute = cell.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute)
