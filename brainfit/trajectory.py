"""What one layer of a model did over one presentation, each distinct block stored once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from brainfit.errors import ContractError


@dataclass(frozen=True)
class Trajectory:
    """Activations of one layer for a batch of images over all steps.

    A step's activations are named by index into the *distinct* blocks: a feedforward net under
    a 100 ms image needs three blocks for 25 steps (nothing yet, image, gray), a recurrent one
    needs one for each step after its input arrives.

    Attributes
    ----------
    blocks
        Each of shape (image, *features), or (1, *features) where it does not depend on the image.
    index
        For each step, the position in `blocks` of the block that applies.
    """

    blocks: tuple[torch.Tensor, ...]
    index: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.blocks or set(self.index) != set(range(len(self.blocks))):
            raise ContractError(
                f"a trajectory's index must use each of its {len(self.blocks)} blocks and no other, "
                f"got indices {sorted(set(self.index))}"
            )

    @property
    def n_steps(self) -> int:
        """Number of steps."""
        return len(self.index)

    @property
    def run_lengths(self) -> tuple[int, ...]:
        """For each block, in how many steps it applies."""
        return tuple(self.index.count(k) for k in range(len(self.blocks)))

    @classmethod
    def from_steps(cls, steps: list[torch.Tensor]) -> Trajectory:
        """Build from one tensor a step; steps that are the *same object* share a block."""
        position: dict[int, int] = {}
        for tensor in steps:
            position.setdefault(id(tensor), len(position))
        blocks = {position[id(tensor)]: tensor for tensor in steps}
        return cls(tuple(blocks[k] for k in range(len(blocks))), tuple(position[id(t)] for t in steps))

    def select(self, steps: Iterable[int]) -> Trajectory:
        """Keep these steps, in this order, and only the blocks that they use."""
        index = [self.index[step] for step in steps]
        used = list(dict.fromkeys(index))
        return Trajectory(tuple(self.blocks[k] for k in used), tuple(used.index(k) for k in index))

    def stacked(self) -> torch.Tensor:
        """Distinct blocks as one tensor of shape (image, block, feature), features flattened."""
        n = max(block.shape[0] for block in self.blocks)
        flat = [block.flatten(1).expand(n, -1) for block in self.blocks]
        return torch.stack(flat, dim=1)

    def dense(self) -> torch.Tensor:
        """Every step spelled out: shape (image, step, feature), features flattened."""
        return self.stacked()[:, list(self.index)]
