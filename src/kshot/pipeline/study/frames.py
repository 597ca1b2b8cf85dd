"""The frames of a study: shots of each draw, and test sets that share no frame with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from kshot.atoms import Labelled
from kshot.core.errors import TaskError
from kshot.core.seeds import named_generator

SHOTS, TEST = "shots", "test"
"""How the names of trajectories begin that give shots, and of those that are test sets."""


class Pool(NamedTuple):
    """Labelled frames of one family.

    Args:
        family: its name.
        shots: what shots are drawn from.
        tests: test sets by name, each of other trajectories than the shots.
    """

    family: str
    shots: tuple[Labelled, ...]
    tests: Mapping[str, tuple[Labelled, ...]]


class Draw(NamedTuple):
    """One choice of shots.

    Args:
        family: of whom.
        number: which draw; seeds everything that is random in adaptation.
        shots: in order: K shots are the first K.
        tests: as in `Pool`.
        shares: whether labels of it may be in another draw, as the pool is too small.
    """

    family: str
    number: int
    shots: tuple[Labelled, ...]
    tests: Mapping[str, tuple[Labelled, ...]]
    shares: bool


def pool_of(family: str, frames: Sequence[Labelled], most: int) -> Pool:
    """Return the frames of a family as shots and test sets.

    Trajectories whose names begin with ``test`` are test sets, each for itself, and those that
    begin with ``shots`` give shots. Where none is named so, the first half of the trajectories
    gives shots, and the rest is one test set.

    Args:
        family: its name.
        frames: labelled; `Structure.info` names the trajectory of each.
        most: frames of a test set; of more, so many are taken, evenly spread.

    Raises:
        TaskError: all frames are of one trajectory, a trajectory's name says nothing, or a frame is
            there twice, in a test set or among the shots.
    """
    trajectories: dict[str, list[Labelled]] = {}
    for frame in frames:
        name = str(frame.structure.info.get("trajectory", ""))
        trajectories.setdefault(name, []).append(frame)
    if any(name.startswith(TEST) for name in trajectories):
        shots, tests = _named(family, trajectories)
    else:
        shots, tests = _halves(family, trajectories)
    _require_apart(family, shots, tests)
    return Pool(family, tuple(shots), {name: _spread(tests[name], most) for name in sorted(tests)})


def _named(
    family: str, trajectories: Mapping[str, list[Labelled]]
) -> tuple[list[Labelled], dict[str, list[Labelled]]]:
    unclear = [name for name in trajectories if not name.startswith((SHOTS, TEST))]
    if unclear:
        todo = "Rename it, or take it out."
        expected = f"trajectories named {SHOTS}… or {TEST}…"
        raise TaskError(expected, f"{family}: {unclear[0]!r}", todo)
    shots = [
        frame
        for name in sorted(trajectories)
        if name.startswith(SHOTS)
        for frame in trajectories[name]
    ]
    if not shots:
        todo = f"Name the trajectories of the shots {SHOTS}-1, {SHOTS}-2 …"
        raise TaskError("frames to draw shots from", f"{family}: test sets only", todo)
    return shots, {name: part for name, part in trajectories.items() if name.startswith(TEST)}


def _halves(
    family: str, trajectories: Mapping[str, list[Labelled]]
) -> tuple[list[Labelled], dict[str, list[Labelled]]]:
    names = sorted(trajectories)
    if len(names) < 2:
        todo = "Draw the family with another seed or temperature too."
        got = f"{family}: frames of one"
        raise TaskError("frames of two trajectories, to test on other ones", got, todo)
    middle = len(names) // 2
    first, rest = (
        [frame for name in part for frame in trajectories[name]]
        for part in (names[:middle], names[middle:])
    )
    return first, {TEST: rest}


def _require_apart(
    family: str, shots: Sequence[Labelled], tests: Mapping[str, Sequence[Labelled]]
) -> None:
    """Raise if a frame is there twice: among the shots, or in a test set and among the shots."""
    keys = [frame.structure.key for frame in shots]
    if double := len(keys) - len(set(keys)):
        todo = "Take out all but one of each: draws must not share a label."
        raise TaskError("shots that differ", f"{family}: {double} frames twice", todo)
    for name, part in tests.items():
        if both := sum(frame.structure.key in set(keys) for frame in part):
            got = f"{family}: {both} of {len(part)} frames of {name} are among the shots"
            todo = "Test on frames of another trajectory."
            raise TaskError("test frames that are no shots", got, todo)


def _spread(frames: Sequence[Labelled], most: int) -> tuple[Labelled, ...]:
    places = np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int)
    return tuple(frames[place] for place in places)


def draws_of(pool: Pool, shots: Sequence[int], count: int) -> list[Draw]:
    """Return draws of shots: parts of one permutation, so that no two share a label.

    Where the pool is too small for that, each draw is a permutation of its own, and says so.

    Args:
        pool: of a family.
        shots: numbers of labels.
        count: of draws.

    Raises:
        TaskError: more shots than the pool has; or all of it, in several draws that would be one.
    """
    most, size = max(shots), len(pool.shots)
    if most > size:
        todo = "Ask for fewer shots, or give more frames."
        raise TaskError(f"K of at most {size} frames", f"{pool.family}: K = {most}", todo)
    if most == size and count > 1:
        got = f"{pool.family}: K = {most} of {size} frames, {count} draws that would all be one"
        todo = f"Ask for fewer shots, or for one draw, or give {count * most} frames."
        raise TaskError("draws that differ", got, todo)
    shares = count * most > size
    return [
        Draw(
            pool.family,
            number,
            tuple(pool.shots[place] for place in _places(number, most, size, shares=shares)),
            pool.tests,
            shares,
        )
        for number in range(count)
    ]


def _places(number: int, most: int, size: int, *, shares: bool) -> np.ndarray:
    if shares:
        return named_generator(number, "draw").permutation(size)[:most]
    return named_generator(0, "draws").permutation(size)[number * most : (number + 1) * most]
