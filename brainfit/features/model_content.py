"""What a model computes with, as one hash: the same in another process, and another for any other model.

A model's name says nothing about what it does. So all that can be reached from the model is read by value:
parameters and buffers, wiring and settings, functions with what they close over; and of the code of classes
and functions the source files, with all that these import (`brainfit.features.source_files`). A model in which
something cannot be read so has no hash, and its features are then computed anew each time.
"""

from __future__ import annotations

import copyreg
import hashlib
import sys
from collections.abc import Iterator
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np
import torch

from brainfit.errors import ContractError
from brainfit.features.source_files import is_followed, is_ours, is_plain, source_identity
from brainfit.support.messages import printable

_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), type(NotImplemented))
# What Python makes for a class, or notes on it when it is used; none of it moves what is computed.
_MECHANICS = {
    "__dict__", "__weakref__", "__doc__", "__module__", "_abc_impl", "__slotnames__",
    "__annotations__", "__annotations_cache__", "__annotate__", "__annotate_func__",
}  # fmt: skip
_HOOKS = [name for name in vars(torch.nn.Module()) if name.endswith(("_hooks", "_kwargs", "_called"))]
_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType)


def model_content(model: object) -> str:
    """Return the sha256 of all that a model computes with.

    Raises
    ------
    ContractError
        If something in it cannot be read by value, such as an open file, or its code is in no file or has
        changed since this process began.
    """
    walk = _Walk()
    walk.value(model)
    hooks = (f"_global_forward{kind}hooks" for kind in ("_", "_pre_"))
    walk.value([list(getattr(torch.nn.modules.module, name, {}).values()) for name in hooks])
    for name, text in source_identity({*walk.modules, "brainfit.features.extraction"}):
        walk.put("source", name, text)
    walk.put(*map(str, sys.version_info[:2]), torch.__version__)
    return walk.hash.hexdigest()


class _Walk:
    """Feeds values to a hash, each object once."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self.modules: set[str] = set()
        self._seen: dict[int, int] = {}
        self._alive: list[object] = []  # so that no other object gets the id of one that was seen

    def put(self, *words: str) -> None:
        """Take in words, each with its length, so that no two lists of them look alike."""
        for word in words:
            raw = word.encode("utf-8", "surrogatepass")
            self.hash.update(b"%d:" % len(raw) + raw)

    def value(self, value: Any) -> None:
        """Take in anything."""
        if isinstance(value, _PLAIN) and type(value).__module__ == "builtins":
            self.put(type(value).__name__, repr(value))
            return
        if type(value) is tuple:  # Python may share equal ones, or not
            self._sequence("tuple", value)
            return
        if id(value) in self._seen:
            self.put("again", str(self._seen[id(value)]))
            return
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)
        for kinds, take in (
            (torch.Tensor, self._tensor),
            (np.ndarray, self._array),
            (type, self._class),
            (FunctionType, self._function),
            (BuiltinFunctionType, self._builtin),
            (MethodType, self._method),
            (CodeType, self._code),
            (ModuleType, self._module),
        ):
            if isinstance(value, kinds):
                take(value)
                return
        if type(value) is list:
            self._sequence("list", value)
        elif isinstance(value, (dict, MappingProxyType)) and type(value) in (dict, MappingProxyType):
            self._sequence("dict", [part for item in value.items() for part in item])
        elif type(value) in (set, frozenset):
            self._sequence(type(value).__name__, sorted(value, key=self._digest))
        elif isinstance(value, (property, staticmethod, classmethod)):
            parts = ("fget", "fset", "fdel", "__func__")
            self._sequence(type(value).__name__, [getattr(value, part, None) for part in parts])
        else:
            self._object(value)

    def _sequence(self, kind: str, values: Any) -> None:
        values = list(values)
        self.put(kind, str(len(values)))
        for value in values:
            self.value(value)

    def _digest(self, value: object) -> bytes:
        """Return by what the parts of a set are sorted: how one is shown may say where it is in memory."""
        if isinstance(value, _PLAIN) and type(value).__module__ == "builtins":
            return repr(value).encode("utf-8", "surrogatepass")
        alone = _Walk()
        alone._seen = dict(self._seen)
        alone.value(value)
        return alone.hash.digest()

    def _tensor(self, tensor: torch.Tensor) -> None:
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested or tensor.is_meta:
            raise ContractError("it holds a tensor that is not a dense one")
        raw = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        # The layout, too: convolutions go another way for channels last.
        layout = tuple(tensor.shape), tensor.stride()
        self.put("tensor", type(tensor).__name__, str(tensor.dtype), str(layout))
        self.hash.update(raw.numpy().tobytes())
        if vars(tensor):
            self.value(vars(tensor))

    def _array(self, array: np.ndarray) -> None:
        if array.dtype.hasobject:
            self._sequence(f"objects {array.shape}", array.ravel().tolist())
            return
        self.put("array", type(array).__name__, array.dtype.str, str(array.shape))
        self.hash.update(np.ascontiguousarray(array).tobytes())

    def _class(self, kind: type) -> None:
        self.put("class", kind.__module__, kind.__qualname__)
        self.modules.add(kind.__module__)
        if is_followed(kind.__module__):
            self._sequence("bases", kind.__bases__)
            for name, value in sorted(vars(kind).items()):
                if name not in _MECHANICS and not isinstance(value, _DESCRIPTORS):
                    self.put(name)
                    self.value(value)

    def _function(self, function: FunctionType) -> None:
        module = function.__module__ or ""
        self.put("function", module, function.__qualname__)
        generated = module.startswith("namedtuple_")  # as Python calls what it makes for a namedtuple
        if not generated:
            self.modules.add(module)
        if generated or is_followed(module):
            self.value(function.__code__)
            self._sequence("defaults", [function.__defaults__, function.__kwdefaults__])
            self._sequence("closed over", _cells(function))
            self.value({name: v for name, v in vars(function).items() if name != "__wrapped__"})
            self.value(getattr(function, "__wrapped__", None))
            if not generated:
                self._globals(function)

    def _globals(self, function: FunctionType) -> None:
        """Take in what code reads of its module, or of another one: it may be replaced once it is imported.

        Plain values of modules are told with their files.
        """
        names = sorted(set(_names(function.__code__)))
        for name in names:
            value = function.__globals__.get(name)
            if isinstance(value, ModuleType):
                if value.__name__ in sys.modules and is_followed(value.__name__):
                    for other in names:
                        self._global(value.__name__, other, vars(value).get(other))
            else:
                self._global(function.__module__, name, value)

    def _global(self, module: str, name: str, value: Any) -> None:
        if isinstance(value, (FunctionType, type)) or not (is_ours(module) or is_plain(value)):
            self.put("global", name)
            self.value(value)

    def _builtin(self, function: BuiltinFunctionType) -> None:
        owner = function.__self__
        self.put("builtin", str(function.__module__), function.__qualname__)
        if owner is not None and not isinstance(owner, (ModuleType, type)):
            self.value(owner)

    def _method(self, method: MethodType) -> None:
        self._sequence("method", [method.__func__, method.__self__])

    def _code(self, code: CodeType) -> None:
        self._sequence("code", [code.co_code, code.co_names, code.co_varnames, code.co_freevars])
        self._sequence("constants", code.co_consts)

    def _module(self, module: ModuleType) -> None:
        self.put("module", module.__name__)
        self.modules.add(module.__name__)

    def _object(self, value: object) -> None:
        """Take in what pickle would need to make it again."""
        kind = type(value)
        label = printable(f"{kind.__module__}.{kind.__qualname__}")
        try:
            made = value.__reduce_ex__(4)
        except Exception as error:  # code that is not ours may raise anything at all
            raise ContractError(f"it holds a {label}, which cannot be read by value") from error
        self.put("object")
        self.value(kind)
        if isinstance(made, str):
            self.put("name", made)
            return
        maker, arguments, *rest = made
        if maker is copyreg.__newobj__ and arguments == (kind,):  # pyright: ignore[reportAttributeAccessIssue]
            maker, arguments = None, ()
        self._sequence("made by", [maker, arguments])
        if isinstance(value, torch.nn.Module) and rest and type(rest[0]) is dict:
            rest[0] = _with_hooks_renumbered(rest[0])
        self._sequence("state", [list(part) if isinstance(part, Iterator) else part for part in rest])


def _with_hooks_renumbered(state: dict[str, Any]) -> dict[str, Any]:
    """Return a torch module's state with its hooks numbered from 0: torch counts those of all modules."""
    hooks = {name: state[name] for name in _HOOKS if isinstance(state.get(name), dict)}
    numbers = sorted({number for kind in hooks.values() for number in kind})
    new = {number: place for place, number in enumerate(numbers)}
    return state | {name: {new[n]: hook for n, hook in kind.items()} for name, kind in hooks.items()}


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code reads, and the code within it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _cells(function: FunctionType) -> list[Any]:
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # not assigned yet
            contents.append("nothing")
    return contents
