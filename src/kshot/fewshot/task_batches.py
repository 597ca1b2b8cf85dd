"""Tasks for meta-training: K frames of one scaffold to adapt on, others to judge on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from kshot.atoms.graph import Size, rung
from kshot.core.errors import TaskError
from kshot.meta import Task
from kshot.potentials.packed import Packed, Piece, pack

Scaffolds = Mapping[str, Sequence[Sequence[Piece]]]
"""Frames by family and scaffold."""


@dataclass(frozen=True, eq=False)
class TaskBatches:
    """Draws stacks of tasks; families are equally likely, and so are a family's scaffolds.

    Args:
        families: each scaffold has frames enough for one task.
        shots: frames to adapt on.
        query: frames to judge on.
        tasks: in one stack.
        room: of the larger of the two sets.
        cutoff: of the potential, in Å.
        dtype: of everything real-valued.
    """

    families: Scaffolds
    shots: int
    query: int
    tasks: int
    room: Size
    cutoff: float
    dtype: str = "float32"

    def __call__(self, rng: np.random.Generator) -> Task:
        """Return a stack of tasks."""
        names = sorted(self.families)
        drawn = []
        for _ in range(self.tasks):
            scaffolds = self.families[names[int(rng.integers(len(names)))]]
            frames = scaffolds[int(rng.integers(len(scaffolds)))]
            order = rng.permutation(len(frames))[: self.shots + self.query]
            drawn.append(self.task([frames[i] for i in order]))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *drawn)

    def task(self, frames: Sequence[Piece]) -> Task:
        """Return the task of some frames, the ones to adapt on first."""
        return Task(
            self._packed(frames[: self.shots], self.shots),
            self._packed(frames[self.shots :], self.query),
        )

    def first_of_each(self) -> list[Task]:
        """Return one task of each family: the same ones at every call."""
        tasks = []
        for name in sorted(self.families):
            frames = self.families[name][0]
            order = np.random.default_rng(0).permutation(len(frames))
            tasks.append(self.task([frames[i] for i in order[: self.shots + self.query]]))
        return tasks

    def _packed(self, frames: Sequence[Piece], places: int) -> Packed:
        return pack(frames, self.room, places, self.cutoff, self.dtype)


def of_one_room(streams: Mapping[str, TaskBatches]) -> dict[str, TaskBatches]:
    """Return streams whose tasks have one shape, so that one program serves all."""
    rooms = [stream.room for stream in streams.values()]
    room = Size(*(max(one[axis] for one in rooms) for axis in (0, 1)))
    return {name: replace(stream, room=room) for name, stream in streams.items()}


def task_batches(
    families: Scaffolds,
    *,
    shots: int,
    query: int,
    tasks: int,
    most_atoms: int,
    cutoff: float,
    dtype: str,
) -> TaskBatches:
    """Return task batches of the scaffolds that are small enough and have frames enough.

    Raises:
        TaskError: no scaffold is left.
    """
    fits = lambda some: len(some) >= shots + query and len(some[0].graph.numbers) <= most_atoms  # noqa: E731
    kept = {name: [some for some in those if fits(some)] for name, those in families.items()}
    kept = {name: those for name, those in kept.items() if those}
    if not kept:
        got = "no family with a scaffold like that"
        todo = "Draw more frames, or ask for fewer shots; see meta.most_atoms too."
        raise TaskError(f"{shots + query} frames of at most {most_atoms} atoms", got, todo)
    every = [one.graph.size for those in kept.values() for some in those for one in some]
    most = max(shots, query)
    room = Size(*(rung(most * max(size[axis] for size in every) + 1) for axis in (0, 1)))
    return TaskBatches(kept, shots, query, tasks, room, cutoff, dtype)
