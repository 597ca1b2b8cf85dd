"""The contract of a way to adapt."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from kshot.atoms import Labelled, Labels, Structure
from kshot.fewshot.adapt import priors_of, to_pieces
from kshot.fewshot.adapters.base import Adapter, Judged, Problem
from kshot.fewshot.folds import Fitted, Fold
from kshot.fewshot.jacobian import rows
from kshot.fewshot.least_squares import grams
from kshot.fewshot.shots import shots
from kshot.labelers import labeler
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.testing.expect import expect

ELEMENTS = (1, 6, 8)
METHANOL = Structure(
    numbers=np.array([6, 8, 1, 1, 1, 1]),
    positions=np.array(
        [
            [-0.047, 0.664, 0.0],
            [-0.047, -0.758, 0.0],
            [-1.092, 0.97, 0.0],
            [0.879, -1.06, 0.0],
            [0.438, 1.072, 0.889],
            [0.438, 1.072, -0.889],
        ]
    ),
)
FRAMES = 7
SHAKE = 0.05  # Å
WRONG = 3.0  # eV
LEFT_OUT = 0  # the frame whose labels are made wrong
CLOSE = 5e-3  # of the largest move: single precision, and inverses of matrices
SAID = 0.01  # of it: what a wrong label that is believed changes at least


def check_adapter(adapter: Adapter, start: Model | None = None) -> None:
    """Check everything a way to adapt promises.

    * It has a name, says whether it is a plain baseline, and how few labels will do.
    * Judging it gives a finite error, and names it.
    * What a fit leaves out teaches it nothing: with labels of a frame made wrong, fits that leave
      it out stay the same, and fits that keep it do not.
    * The same labels and the same seed give the same bits.
    * A fit is finite, and so are the true model's residuals.

    Args:
        adapter: whose promises are checked.
        start: what it adapts, of H, C and O; an untrained potential of Morse springs if None.

    Raises:
        ContractError: a promise is broken.
    """
    start = start or springs()
    expect(bool(adapter.name), "a name", repr(adapter.name), "Tables and options need it.")
    expect(adapter.fewest >= 2, "two labels or more", adapter.fewest, "One is always left out.")
    chosen = adapter.of(start)
    expect(chosen is not None, "an adapter of the start", None, "Give a start that brings it.")
    assert chosen is not None
    right = problem_of(chosen, start, shaken())
    wrong = problem_of(chosen, start, poisoned(shaken()))
    judged = chosen.judge(right)
    name = judged.candidate.method.name
    expect(name == chosen.name, f"a candidate of {chosen.name}", name, "Name yourself in it.")
    finite(np.array(judged.candidate.error))
    folds: list[Fold] = [[LEFT_OUT], [LEFT_OUT + 1]]
    before, after = (last(chosen, problem, judged, folds) for problem in (right, wrong))
    for fitted in (*before, *after):
        for part in (*fitted.fit, fitted.residual):
            finite(part)
    todo = "Learn from the frames of a fold's rest, in moves and in shifts."
    off = differs(before[0], after[0])
    expect(off <= CLOSE, "fits that know nothing of what they leave out", f"{off:.1e} apart", todo)
    off = differs(before[1], after[1])
    expect(off > SAID, "fits that believe what they keep", f"{off:.1e} apart", todo)
    todo = "Draw from `Problem.seed` alone."
    again, same = chosen.judge(right).candidate, last(chosen, right, judged, folds)
    expect(again == judged.candidate, "one result of one seed", again, todo)
    expect(differs(before[0], same[0]) == 0, "the same bits of the same labels", "others", todo)


def finite(values: np.ndarray) -> None:
    """Raise unless numbers are numbers."""
    expect(bool(np.isfinite(values).all()), "finite numbers", values, "Return the start instead.")


def springs(seed: int = 0) -> Model:
    """Return an untrained Morse potential of three elements as a start."""
    potential = potentials.get("morse")(ELEMENTS)
    params = potential.init(jax.random.key(seed))
    return Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen(ELEMENTS))


def shaken(count: int = FRAMES, seed: int = 0) -> list[Labelled]:
    """Return rattled methanol with labels of the analytic engine, which no start is."""
    rng, engine, frames = np.random.default_rng(seed), labeler("analytic"), []
    for _ in range(count):
        positions = METHANOL.positions + SHAKE * rng.standard_normal(METHANOL.positions.shape)
        labels = engine.label(frame := METHANOL.replace(positions=positions))
        assert isinstance(labels, Labels), "an analytic engine that fails"
        frames.append(Labelled(frame, labels))
    return frames


def poisoned(frames: Sequence[Labelled]) -> list[Labelled]:
    """Return the same frames, the labels of one of which are wrong."""
    structure, labels = frames[LEFT_OUT]
    wrong = Labels(labels.energy + WRONG, 2 * labels.forces)
    return [Labelled(structure, wrong), *frames[LEFT_OUT + 1 :]]


def problem_of(adapter: Adapter, start: Model, frames: Sequence[Labelled]) -> Problem:
    """Return what an adapter is handed for some labelled frames."""
    pieces = to_pieces(start, frames)
    own = rows(start.potential, start.params, pieces)
    problems = grams(own, priors_of([adapter], start, own))
    return Problem(shots(start, pieces, own), problems.get(adapter.name), seed=0)


def last(adapter: Adapter, problem: Problem, judged: Judged, folds: Sequence[Fold]) -> list[Fitted]:
    """Return the fits after the last step; nothing that was solved before is used."""
    *_, fits = adapter.fits(problem, judged._replace(solved=None), folds)
    return fits


def differs(ours: Fitted, theirs: Fitted) -> float:
    """Return how far two fits are apart, in moves or in shifts, as a share of the largest."""
    apart = 0.0
    for mine, other in zip(ours.fit, theirs.fit, strict=True):
        largest = float(np.abs(mine).max(initial=0.0))
        apart = max(apart, float(np.abs(mine - other).max(initial=0.0)) / (largest or 1.0))
    return apart
