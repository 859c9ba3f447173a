"""Let several processes train one network: what ``torchrun`` starts, or this process alone.

Each process computes the gradient of its share of every batch, and torch's DistributedDataParallel averages
them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from brainfit.errors import ContractError


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Attributes
    ----------
    rank, world
        Number of this process from 0, and number of processes.
    """

    rank: int = 0
    world: int = 1
    _control: Any = None

    def wrap(self, module: nn.Module) -> nn.Module:
        """Return a module that averages its gradients over all processes."""
        return DistributedDataParallel(module) if self.world > 1 else module

    @property
    def others(self) -> tuple[int, ...]:
        """Return what tells this process's random numbers from those of the first one: nothing for that."""
        return (self.rank,) if self.rank else ()

    def weight(self, n_images: int) -> float:
        """Return the weight of this process's mean over `n_images`, so that every image counts alike."""
        if self.world == 1:
            return 1.0
        return n_images * self.world / max(1.0, float(self.total(np.array([float(n_images)]))[0]))

    def require_equal(self, what: str, value: int) -> None:
        """Raise unless a number is the same in all processes.

        Raises
        ------
        ContractError
            If it differs.
        """
        most, least = self.agree(value, -value)
        if most != -least:
            raise ContractError(
                f"the {what} is {-least} in one process and {most} in another; give all of them the same "
                "folder, on a disk that they share"
            )

    def agree(self, *values: int) -> list[int]:
        """Return the largest of each value over all processes, which all of them get."""
        if self.world == 1:
            return list(values)
        found = torch.tensor(values)
        distributed.all_reduce(found, distributed.ReduceOp.MAX, group=self._control)
        return found.tolist()

    def total(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over all processes, which all of them get."""
        if self.world == 1:
            return values
        found = torch.from_numpy(np.ascontiguousarray(values, float))
        distributed.all_reduce(found, group=self._control)
        return found.numpy()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started, while the block lasts; alone if it did not.

    With GPUs, process k of a machine has GPU k and gradients travel by NCCL, else by gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE", "1") == "1":  # one machine, whose count of restarts is known
        # After a restart, torchrun's store still has the addresses of the processes that died.
        store = PrefixStore(f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo", store=store, rank=rank, world_size=world
    )
    try:
        control = distributed.new_group(backend="gloo")
        yield Processes(distributed.get_rank(), distributed.get_world_size(), control)
    finally:
        distributed.destroy_process_group()
