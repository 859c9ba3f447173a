"""Hold a layer's activations over one presentation, each distinct block once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from brainfit.errors import ContractError


@dataclass(frozen=True)
class Trajectory:
    """Activations of one layer for a batch of images over all steps.

    Each step refers to one of the *distinct* blocks: a feedforward network that sees an image for 100 ms
    needs three blocks for 25 steps (no input yet, image, gray), a recurrent one needs a block for each step
    after its input arrives.

    Attributes
    ----------
    blocks
        Each of shape ``(image, *features)``, or ``(1, *features)`` where it does not depend on the image.
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
        """Number of steps in which each block applies."""
        return tuple(self.index.count(k) for k in range(len(self.blocks)))

    @classmethod
    def from_steps(cls, steps: list[torch.Tensor]) -> Trajectory:
        """Build a trajectory from one tensor a step; steps that are the *same object* share a block."""
        position: dict[int, int] = {}
        for tensor in steps:
            position.setdefault(id(tensor), len(position))
        blocks = {position[id(tensor)]: tensor for tensor in steps}
        return cls(tuple(blocks[k] for k in range(len(blocks))), tuple(position[id(t)] for t in steps))

    def average(self, steps: Sequence[Sequence[int]]) -> Trajectory:
        """Average over groups of steps, one group for each time bin of a recording.

        A bin of one step, or of steps with the same block, shares that block, so no work is repeated.
        """
        made: dict[tuple[int, ...], torch.Tensor] = {}
        for group in steps:
            key = tuple(sorted(self.index[step] for step in group))
            if key not in made:
                made[key] = self._mean(key)
        return Trajectory.from_steps([made[tuple(sorted(self.index[s] for s in group))] for group in steps])

    def _mean(self, blocks: tuple[int, ...]) -> torch.Tensor:
        if len(set(blocks)) == 1:
            return self.blocks[blocks[0]]
        total = self.blocks[blocks[0]].clone()
        for k in blocks[1:]:
            total = total + self.blocks[k]
        return total / len(blocks)

    def stacked(self, n_images: int | None = None) -> torch.Tensor:
        """Return the distinct blocks as one tensor, shape (image, block, feature), features flattened.

        Parameters
        ----------
        n_images
            Number of images; needed only if no block depends on the image.
        """
        n = n_images or max(block.shape[0] for block in self.blocks)
        flat = [block.flatten(1).expand(n, -1) for block in self.blocks]
        return torch.stack(flat, dim=1)

    def dense(self, n_images: int | None = None) -> torch.Tensor:
        """Return every step, shape (image, step, feature); `n_images` as for `stacked`."""
        return self.stacked(n_images)[:, list(self.index)]
