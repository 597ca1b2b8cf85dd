"""Labelled frames and a setting → support and query sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Labelled
from kshot.core.seeds import named_generator
from kshot.fewshot.tasks.apart import split_apart
from kshot.fewshot.tasks.arrays import stack_shots
from kshot.fewshot.tasks.record import FrameRecord, TaskRecord
from kshot.fewshot.tasks.select import selections
from kshot.fewshot.tasks.setting import Setting, chosen_frames, frames_of
from kshot.labelers.ledger import Ledger
from kshot.meta import Task

GAP = 1000.0  # fs


class FewShotTask(NamedTuple):
    """A task and what it was made of.

    Args:
        task: support and query sets of `Shots`; the query is None if none was asked for.
        record: which frames they are.
    """

    task: Task
    record: TaskRecord


def make_task(
    source: Ledger | Iterable[Labelled],
    setting: Setting,
    *,
    shots: int,
    query: int,
    selection: str = "random",
    gap: float = GAP,
    seed: int = 0,
    size: int | None = None,
    e0s: Mapping[int, float] | None = None,
    dtype: Any = np.float32,  # noqa: ANN401 - NumPy's DTypeLike is no class
) -> FewShotTask:
    """Choose support and query sets from labelled frames.

    Args:
        source: a ledger, or labelled frames; for many tasks, read the ledger once with `frames_of`.
        setting: family, temperature, isotopes and level of theory.
        shots: K, the size of the support set.
        query: the size of the query set, chosen at random; 0 for none.
        selection: how the support shots are chosen; a name in `selections`.
        gap: support and query frames of one trajectory are at least so far apart, in fs. Infinite
            asks for different trajectories, 0 lets nearly equal frames stand on both sides.
        seed: of all choices; the same seed gives the same task.
        size: number of atoms to pad to; that of the largest chosen frame if None.
        e0s: atomic number → energy of the isolated atom in eV, taken off in float64.
        dtype: of positions, energies and forces.

    Raises:
        TaskError: no frame matches, levels of theory are mixed, support and query cannot be kept
            apart, or there are too few frames.
    """
    choose = selections.get(selection)
    frames = chosen_frames(frames_of(source), setting)
    rng = named_generator(seed, "few-shot task")
    left, right = split_apart(frames, shots, query, gap, rng)
    support = [frames[left[i]] for i in choose([frames[i] for i in left], shots, rng)]
    asked = [frames[i] for i in rng.choice(right, query, replace=False)] if query else []
    if size is None:
        size = max(len(frame.structure) for frame in support + asked)
    sets = [stack_shots(part, size=size, e0s=e0s, dtype=dtype) for part in (support, asked) if part]
    level = support[0].labels.fingerprint
    record = TaskRecord(
        setting=setting,
        level="" if level is None else level.text,
        selection=selection,
        gap=gap,
        seed=seed,
        frames=len(frames),
        e0s=dict(e0s or {}),
        support=tuple(FrameRecord.of(frame) for frame in support),
        query=tuple(FrameRecord.of(frame) for frame in asked),
    )
    return FewShotTask(Task(*sets), record)
