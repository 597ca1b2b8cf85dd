"""Support and query apart: from different trajectories, or far apart in time.

Frames 10 fs apart on one trajectory are nearly copies. A query set that has copies of the support
set measures memory, not learning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kshot.atoms import Labelled
from kshot.core.errors import TaskError

SHARE = 0.5  # of the frames from which the support set is chosen, where there is a choice


@dataclass(frozen=True)
class _Way:
    """One way to deal out a run of frames: these for support, those for query."""

    support: tuple[int, ...]
    query: tuple[int, ...]


def split_apart(
    frames: Sequence[Labelled], shots: int, query: int, gap: float, rng: np.random.Generator
) -> tuple[list[int], list[int]]:
    """Return two sets of frames to choose support and query from, by their places.

    Two frames of one trajectory (``info["trajectory"]``) never stand on different sides unless
    ``info["time"]`` is at least ``gap`` apart. Whole trajectories go to one side or the other if
    that is possible; else they are cut in time, and the frames around a cut go to neither.

    Args:
        frames: of one task.
        shots: the support side has at least so many.
        query: and the query side so many.
        gap: in fs; infinite asks for different trajectories, 0 for nothing but different frames.
        rng: which goes where.

    Raises:
        TaskError: it is impossible, or a frame does not say which trajectory it is from.
    """
    if shots < 1 or query < 0:
        got = f"{shots} and {query}"
        raise TaskError("support shots ≥ 1 and query shots ≥ 0", got, "Ask for more.")
    if not gap >= 0:
        raise TaskError("gap ≥ 0 fs", str(gap), "0 keeps nothing apart.")
    if query == 0 and len(frames) >= shots:
        return list(range(len(frames))), []
    runs = _runs(frames, gap)
    runs = [runs[i] for i in rng.permutation(len(runs))]
    times = [float(frame.structure.info.get("time", 0.0)) for frame in frames]
    for cut in (False, True):
        ways = [_ways(run, times, gap, cut=cut) for run in runs]
        if dealt := _deal(ways, len(frames), shots, query):
            return dealt
    got = f"{len(frames)} frames of {len(runs)} stretches of trajectory that are {gap:g} fs apart"
    todo = (
        "Sample more or longer trajectories, ask for fewer shots, or say gap=0 if copies of the "
        "support set in the query set do no harm."
    )
    raise TaskError(f"{shots} support and {query} query frames kept apart", got, todo)


def _runs(frames: Sequence[Labelled], gap: float) -> list[list[int]]:
    """Return stretches of trajectory that are ``gap`` apart from each other, each in time order."""
    if gap == 0:
        return [[i] for i in range(len(frames))]
    by_trajectory: dict[str, list[tuple[float, int]]] = {}
    for i, frame in enumerate(frames):
        info = frame.structure.info
        if "trajectory" not in info:
            got = f"frame {i} ({frame.structure.key}) without it"
            todo = "Keep the info that samplers write, or say gap=0 if the frames are independent."
            raise TaskError("info['trajectory'] in every frame", got, todo)
        moment = (float(info.get("time", 0.0)), i)
        by_trajectory.setdefault(str(info["trajectory"]), []).append(moment)
    runs: list[list[int]] = []
    for moments in by_trajectory.values():
        moments.sort()
        last = -np.inf
        for time, i in moments:
            if not runs or last == -np.inf or time - last >= gap:
                runs.append([])
            runs[-1].append(i)
            last = time
    return runs


def _ways(run: list[int], times: Sequence[float], gap: float, *, cut: bool) -> list[_Way]:
    """Return how a stretch can be dealt out: whole, or cut in two somewhere, either way round."""
    ways = [_Way(tuple(run), ()), _Way((), tuple(run))]
    if not cut:
        return ways
    for place in range(1, len(run)):
        early = tuple(run[:place])
        late = tuple(i for i in run if times[i] >= times[run[place - 1]] + gap)
        if late:
            ways += [_Way(early, late), _Way(late, early)]
    return ways


def _deal(
    ways: list[list[_Way]], total: int, shots: int, query: int
) -> tuple[list[int], list[int]] | None:
    """Choose one way for each stretch so that both sides have enough; None if there is none.

    For every number of support frames the largest number of query frames is worked out, stretch by
    stretch, so that a solution is found wherever there is one with at most one cut per stretch.
    """
    best = np.full(total + 1, -1)
    best[0] = 0
    taken = np.zeros((len(ways), total + 1), int)
    for step, options in enumerate(ways):
        after = np.full(total + 1, -1)
        for which, way in enumerate(options):
            more = len(way.support)
            reached = best[: total + 1 - more]
            value = np.where(reached >= 0, reached + len(way.query), -1)
            better = value > after[more:]
            after[more:][better] = value[better]
            taken[step, more:][better] = which
        best = after
    sums = np.arange(total + 1)
    good = sums[(best >= query) & (sums >= shots)]
    if not len(good):
        return None
    here = int(good[np.abs(good - SHARE * total).argmin()])
    support: list[int] = []
    rest: list[int] = []
    for step in reversed(range(len(ways))):
        way = ways[step][taken[step, here]]
        support += way.support
        rest += way.query
        here -= len(way.support)
    return sorted(support), sorted(rest)
