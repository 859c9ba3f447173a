"""Load a training task by name, folder or factory."""

from __future__ import annotations

from typing import Any

from brainfit.contracts.task import Task
from brainfit.errors import ContractError
from brainfit.registry import plugins
from brainfit.support.suggestions import unknown_name

_TASKS = {
    "objects": "tasks.objects:Objects",
    "imagefolder": "tasks.image_folder:image_folder",
    "tar": "tasks.tar_shards:tar_shards",
}
"""The factory in `data_loaders` of each task; what takes a folder is written ``name:folder``."""
_ATTRIBUTES = ("name", "classes", "image_size", "n_train", "n_val", "content", "train_example", "val_example")


def load_task(name: str, /, **options: Any) -> Task:
    """Return a training task.

    Parameters
    ----------
    name
        ``"objects"`` for the embedded task, ``"imagefolder:PATH"`` for images in folders as ImageNet has
        them, ``"tar:PATH"`` for shards of WebDataset, or ``package.module:factory`` or
        ``path/to/file.py:factory`` for a factory of your own.
    **options
        Arguments of its factory, such as ``image_size=96``.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    ContractError
        If the factory does not take the options, or returns no task.
    PluginError
        If a factory of your own fails.
    """
    kind, _, place = name.partition(":")
    if kind in _TASKS:
        factory = plugins.own_attribute("data_loaders", _TASKS[kind])
        given = (place,) if place else ()
        try:
            return factory(*given, **options)
        except TypeError as error:
            raise ContractError(f"task {name!r}: {error}") from error
    if not place:
        raise unknown_name(
            "task", name, ["objects", "imagefolder:PATH", "tar:PATH", "path/to/file.py:factory"]
        )
    label = f"task {name!r}"
    task = plugins.call_foreign(label, plugins.foreign_attribute(label, name), options)
    missing = [attribute for attribute in _ATTRIBUTES if not hasattr(task, attribute)]
    if missing:
        raise ContractError(
            f"{label}: its factory returned a {type(task).__name__} without {', '.join(missing)}; see "
            "brainfit.contracts.task.Task"
        )
    return task
