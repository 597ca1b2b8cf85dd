"""A start and K labels → an adapted model, by the way that cross-validation inside the K prefers.

No label outside the K is looked at. Where a plain baseline wins, it is used, and named.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Labelled, Structure
from kshot.atoms.e0s import E0s
from kshot.atoms.graph import unpad
from kshot.core.errors import TaskError
from kshot.core.seeds import named_generator
from kshot.fewshot.anchors import Drift, anchor_rows, drift
from kshot.fewshot.jacobian import Rows, rows
from kshot.fewshot.least_squares import Fit, Gram, Score, gram, places, promising, score
from kshot.fewshot.methods import METHODS, Method, moved, prior_of
from kshot.potentials.compare import RIDGE
from kshot.potentials.model import Model
from kshot.potentials.model_predict import predict_all
from kshot.potentials.packed import Piece, pieces

if TYPE_CHECKING:
    from kshot.potentials.model_ase import ModelCalculator

FOLDS = 5
TINY = 1e-9  # eV, eV/Å: no error is so small that its logarithm matters
MOST_ROWS = 1500  # of all K frames: bounds time and memory; beyond it forces are seen along fewer
# directions per frame


class Candidate(NamedTuple):
    """What cross-validation inside the K labels says of one method.

    Args:
        method: which.
        factor: of its prior's variances, chosen by leave-one-out.
        steps: of Gauss-Newton, chosen by cross-validation.
        error: of frames left out, by the true (not the linearised) model.
    """

    method: Method
    factor: float
    steps: int
    error: Score


class Point(NamedTuple):
    """One point of the learning curve: leave-one-out errors with so many labels."""

    labels: int
    energy: float
    forces: float
    predicted: bool


@dataclass(frozen=True, eq=False)
class Adapted:
    """An adapted model, and how it came about.

    Args:
        model: ready to predict: `Model.predict`, `Model.calculator`.
        chosen: the method that was used.
        candidates: all methods that were tried.
        curve: errors against the number of labels; the last points are extrapolated.
        drift: what the model has forgotten, on anchors; None where the start has none.
    """

    model: Model
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    curve: tuple[Point, ...]
    drift: Drift | None
    notes: tuple[str, ...] = field(default=())

    def energy(self, structure: Structure) -> float:
        """Return the energy of a structure in eV."""
        return self.model.predict([structure])[0].energy

    def forces(self, structure: Structure) -> Float64[np.ndarray, "atoms 3"]:
        """Return the forces on its atoms in eV/Å."""
        return self.model.predict([structure])[0].forces

    def calculator(self) -> ModelCalculator:
        """Return an ASE calculator."""
        return self.model.calculator()

    def with_model(self, model: Model) -> Adapted:
        """Return a copy with another model, such as one that says more of where it is from."""
        return replace(self, model=model)

    def summary(self) -> dict[str, Any]:
        """Return everything but the model as plain JSON values, in eV and eV/Å."""
        told = lambda one: {  # noqa: E731
            "method": one.method.name,
            "baseline": one.method.baseline,
            "factor": one.factor,
            "steps": one.steps,
            "cv_energy_rmse_eV": one.error.energy,
            "cv_force_rmse_eV_per_A": one.error.forces,
        }
        return {
            "chosen": told(self.chosen),
            "candidates": [told(one) for one in self.candidates],
            "curve": [point._asdict() for point in self.curve],
            "drift": None if self.drift is None else self.drift._asdict(),
            "notes": list(self.notes),
        }


def adapt(
    start: Model,
    labelled: Sequence[Labelled],
    *,
    methods: Sequence[str] = tuple(METHODS),
    keep: float = 1.0,
    seed: int = 0,
) -> Adapted:
    """Adapt a start to K labelled structures.

    Args:
        start: a meta-trained model.
        labelled: the K; at least two.
        methods: names in `kshot.fewshot.methods.METHODS` to choose among.
        keep: how strongly the start's anchors are held; 0 lets it forget.
        seed: of folds and directions.

    Raises:
        TaskError: too few labels.
    """
    if len(labelled) < 2:
        todo = "Add labels; five are a sensible least."
        raise TaskError("two labels or more, to choose a method by", str(len(labelled)), todo)
    frames = to_pieces(start, labelled)
    directions = max(1, MOST_ROWS // len(frames) - 1)
    own = rows(start.potential, start.params, frames, directions=directions, seed=seed)
    anchors = anchor_rows(start) if keep > 0 else None
    problems = {name: gram(own, prior_of(METHODS[name], start), anchors, keep) for name in methods}
    return choose_among(start, frames, problems, seed)


def choose_among(
    start: Model, frames: Sequence[Piece], problems: Mapping[str, Gram], seed: int
) -> Adapted:
    """Return the model adapted by the best of some methods, whose problems are set up already."""
    candidates = [
        judged(start, METHODS[name], problem, frames, seed) for name, problem in problems.items()
    ]
    best = min(candidates, key=lambda one: one.error.together)
    fitted = fit(start, problems[best.method.name], frames, best.factor, best.steps)
    model = apply(start, fitted)
    curve = learning_curve(problems[best.method.name], best.factor, seed)
    return Adapted(model, best, tuple(candidates), curve, drift(start, model))


def to_pieces(start: Model, labelled: Sequence[Labelled]) -> list[Piece]:
    """Return labelled structures less the start's E0s."""
    sums = E0s(start.e0s, "dictionary").sums([one.structure for one in labelled])
    return pieces(labelled, start.potential.cutoff, sums, start.dtype)


def judged(
    start: Model, method: Method, problem: Gram, frames: Sequence[Piece], seed: int
) -> Candidate:
    """Return a method's error on frames left out, its options chosen inside.

    Leave-one-out of the linearised model says which scales of the prior are worth a try;
    cross-validation of the true model chooses among them, and the number of steps.
    """
    order = named_generator(seed, "folds").permutation(len(frames))
    folds = np.array_split(order, min(FOLDS, len(frames)))
    ways = itertools.product(promising(problem, method.factors), range(1, method.steps + 1))
    tried = [
        Candidate(method, *way, _cross_validated(start, problem, frames, folds, way))
        for way in ways
    ]
    return min(tried, key=lambda one: one.error.together)


def _cross_validated(
    start: Model,
    problem: Gram,
    frames: Sequence[Piece],
    folds: Sequence[np.ndarray],
    way: tuple[float, int],
) -> Score:
    """Return the true model's error on frames left out, for one scale and number of steps."""
    errors = np.full(len(problem.rows.frame), np.nan)
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(frames)), fold)
        part = fit(start, problem.of(rest), [frames[i] for i in rest], *way)
        some = [frames[i] for i in fold]
        errors[places(problem.rows, fold)] = residuals(
            apply(start, part), problem.rows.of(fold), some, part
        )
    return score(problem.rows, errors)


def fit(start: Model, problem: Gram, frames: Sequence[Piece], factor: float, steps: int) -> Fit:
    """Return the fit after so many Gauss-Newton steps, all with the Jacobian of the start."""
    found = problem.fit(factor)
    for _ in range(steps - 1):
        labelled = len(problem.rows.frame)
        model = apply(start, found)
        here = residuals(model, problem.rows, frames, found, shifted=False)
        back = problem.jacobian[:labelled] @ found.move.astype(np.float32)
        found = problem.fit(factor, here - back)
    return _shifted(start, problem, frames, found)


def _shifted(start: Model, problem: Gram, frames: Sequence[Piece], found: Fit) -> Fit:
    """Return the fit with the shifts that the true model needs: it is not quite linear."""
    own = problem.rows
    energies = residuals(apply(start, found), own, frames, found)[own.is_energy]
    counts = own.counts[own.frame[own.is_energy]]
    atoms = counts.sum(1, keepdims=True)
    normal = (counts / atoms).T @ (counts / atoms) + RIDGE * np.eye(counts.shape[1])
    more = -np.linalg.solve(normal, (counts / atoms).T @ (energies / atoms[:, 0]))
    return found._replace(shifts=found.shifts + more)


def apply(start: Model, found: Fit) -> Model:
    """Return the start moved by a fit; shifts of elements go into its E0s."""
    e0s = dict(start.e0s)
    for number, shift in zip(start.potential.elements, found.shifts, strict=True):
        e0s[number] += float(shift)
    return start.with_(params=moved(start.params, found.move), e0s=e0s)


def residuals(
    model: Model,
    own: Rows,
    frames: Sequence[Piece],
    found: Fit,
    *,
    shifted: bool = True,
) -> np.ndarray:
    """Return the true model's prediction less label, for rows of frames, in the rows' order.

    Args:
        model: the start moved by ``found``.
        own: rows of exactly these frames.
        frames: likewise.
        found: whose shifts belong to the prediction, if ``shifted``.
        shifted: whether they do.
    """
    structures = [unpad(one.graph) for one in frames]
    predicted = predict_all(model.potential, model.params, structures, model.dtype)
    out = np.empty(len(own.frame))
    for place, (one, (energy, forces)) in enumerate(zip(frames, predicted, strict=True)):
        here = own.frame == place
        extra = own.counts[place] @ found.shifts if shifted else 0.0
        out[here & own.is_energy] = energy + extra - one.energy
        along = np.einsum("mac,ac->m", own.ways[place], forces - one.forces)
        out[here & ~own.is_energy] = along[np.isfinite(along)]
    return out


def learning_curve(problem: Gram, factor: float, seed: int) -> tuple[Point, ...]:
    """Return leave-one-out errors with a quarter, a half and all of the labels, and what follows.

    A straight line through the logarithms is carried on to twice and four times as many labels; it
    says what more labels are worth, not what they will bring.
    """
    count = int(problem.rows.frame.max()) + 1
    order = named_generator(seed, "curve").permutation(count)
    sizes = sorted({max(2, count // 4), max(2, count // 2), count})
    points = []
    for size in sizes:
        part = problem.of(order[:size])
        found = score(part.rows, part.fit(factor).left_out)
        points.append(Point(size, found.energy, found.forces, predicted=False))
    if len(points) < 2:
        return tuple(points)
    x = np.log([one.labels for one in points])
    measured = np.array([(one.energy, one.forces) for one in points], np.float64)
    columns = np.log(np.maximum(measured, TINY)).T
    lines = [np.polyfit(x, column, 1) for column in columns]
    for size in (2 * count, 4 * count):
        # more labels never make a prediction worse than the last measured one.
        guess = [
            min(float(np.exp(np.polyval(line, np.log(size)))), now)
            for line, now in zip(lines, points[len(sizes) - 1][1:3], strict=True)
        ]
        points.append(Point(size, *guess, predicted=True))
    return tuple(points)
