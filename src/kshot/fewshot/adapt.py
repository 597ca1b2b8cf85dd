"""A start and K labels → an adapted model, by the way that cross-validation inside the K prefers.

No label outside the K is looked at. Where a plain baseline wins, it is used, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Labelled, Structure
from kshot.atoms.e0s import E0s
from kshot.core.errors import TaskError
from kshot.core.side_by_side import both
from kshot.fewshot.anchors import Drift, anchor_rows, drift
from kshot.fewshot.curve import Point, learning_curve
from kshot.fewshot.finetune import FEWEST, FineTune
from kshot.fewshot.inner import inner_of
from kshot.fewshot.jacobian import rows
from kshot.fewshot.judge import (
    FOLDS,
    Candidate,
    Rule,
    Shots,
    cross_validated,
    fits,
    folds_of,
    judged,
    shots,
)
from kshot.fewshot.least_squares import Fit, Gram, grams
from kshot.fewshot.methods import FINETUNE, INNER, METHODS, USUAL, check_methods, moved, prior_of
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece, pieces

if TYPE_CHECKING:
    from kshot.potentials.model_ase import ModelCalculator

MOST_ROWS = 1500  # of all K frames: bounds time and memory; beyond it forces are seen along fewer
# directions per frame


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
            "chosen": one is self.chosen,  # a start's own rule may be called finetune, too
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
    methods: Sequence[str] = USUAL,
    keep: float = 1.0,
    seed: int = 0,
    cache: Path | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Adapted:
    """Adapt a start to K labelled structures.

    Args:
        start: a meta-trained model.
        labelled: the K; at least two.
        methods: names in `kshot.fewshot.methods.EVERY` to choose among; ``"inner"`` is the rule
            that the start was meta-trained for, if it was; that and ``"finetune"`` want another
            one beside them.
        keep: how strongly the start's anchors are held; 0 lets it forget.
        seed: of folds and directions.
        cache: a folder where the anchors' derivatives are kept for the next adaptation.
        told: called with the name of each part of the work when it is done, `parts` times, from
            any thread.

    Raises:
        TaskError: too few labels.
        UnknownNameError, OptionError: see `kshot.fewshot.methods.check_methods`.
    """
    check_methods(methods)
    if len(labelled) < 2:
        todo = "Add labels; five are a sensible least."
        raise TaskError("two labels or more, to choose a method by", str(len(labelled)), todo)
    if FINETUNE in methods and len(labelled) < FEWEST:
        todo = "Add labels, or leave it out: the other methods take two."
        raise TaskError(f"{FEWEST} labels or more to fine-tune on", str(len(labelled)), todo)
    frames = to_pieces(start, labelled)
    directions = max(1, MOST_ROWS // len(frames) - 1)
    own, anchors = both(
        lambda: rows(start.potential, start.params, frames, directions=directions, seed=seed),
        lambda: anchor_rows(start, cache) if keep > 0 else None,
    )
    told("derivatives")
    priors = {name: prior_of(METHODS[name], start) for name in methods if name in METHODS}
    rules: list[Rule] = []
    if INNER in methods and (inner := inner_of(start)) is not None:
        rules.append(inner)
    if FINETUNE in methods:
        rules.append(FineTune(told))
    some = shots(start, frames, own)
    return choose_among(some, grams(own, priors, anchors, keep), seed, rules=rules, told=told)


def parts(start: Model, methods: Sequence[str], labels: int) -> int:
    """Return in how many parts `adapt` tells of its work."""
    count = 1 + len(methods)  # derivatives, and each method
    if INNER in methods and INNER not in start.learned:
        count -= 1
    if FINETUNE in methods:
        count += min(FOLDS, labels)
    return count


def choose_among(
    some: Shots,
    problems: Mapping[str, Gram],
    seed: int,
    *,
    rules: Sequence[Rule] = (),
    told: Callable[[str], None] = lambda _: None,
) -> Adapted:
    """Return the model adapted by the best of some methods, whose problems are set up already.

    Args:
        some: the labels.
        problems: one at least, by the name of its method.
        seed: of folds.
        rules: other ways that take part.
        told: called with the name of each method when it has been judged.
    """
    candidates = []
    for name, problem in problems.items():
        candidates.append(judged(some, METHODS[name], problem, seed))
        told(name)
    linear = best_of(candidates)
    problem = problems[linear.method.name]
    folds = folds_of(len(some.frames), seed)
    followers: list[tuple[Candidate, Rule]] = []
    for rule in rules:
        (error,) = cross_validated(some, folds, rule.fits(some, folds))
        candidates.append(Candidate(rule.method, 1.0, rule.method.steps, error))
        followers.append((candidates[-1], rule))
        told(rule.method.name)
    best = best_of(candidates)
    rule = next((rule for one, rule in followers if one is best), None)
    # what more labels are worth is read off the linear problem, whoever won.
    model, curve = both(
        lambda: fitted(some, problem, linear) if rule is None else followed(some, rule),
        lambda: learning_curve(problem, linear.factor, seed),
    )
    return Adapted(model, best, tuple(candidates), curve, drift(some.start, model))


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """Return the one with the least errors on frames left out."""
    return min(candidates, key=lambda one: one.error.together)


def fitted(some: Shots, problem: Gram, way: Candidate) -> Model:
    """Return the start adapted to all labels in the way of a candidate."""
    *_, [(found, _)] = fits(some, problem.solve(way.factor), way.steps, [()])
    return apply(some.start, found)


def followed(some: Shots, rule: Rule) -> Model:
    """Return the start adapted to all labels by a rule."""
    ([(found, _)],) = rule.fits(some, [()])
    return apply(some.start, found)


def to_pieces(start: Model, labelled: Sequence[Labelled]) -> list[Piece]:
    """Return labelled structures less the start's E0s."""
    sums = E0s(start.e0s, "dictionary").sums([one.structure for one in labelled])
    return pieces(labelled, start.potential.cutoff, sums, start.dtype)


def apply(start: Model, found: Fit) -> Model:
    """Return the start moved by a fit; shifts of elements go into its E0s."""
    e0s = dict(start.e0s)
    for number, shift in zip(start.potential.elements, found.shifts, strict=True):
        e0s[number] += float(shift)
    return start.with_(params=moved(start.params, found.move), e0s=e0s)
