"""A start and K labels → an adapted model, by the way that cross-validation inside the K prefers.

No label outside the K is looked at. Where a plain baseline wins, it is used, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Labelled, Structure
from kshot.atoms.e0s import E0s
from kshot.core.errors import TaskError
from kshot.core.side_by_side import both
from kshot.fewshot.adapters import named, usual
from kshot.fewshot.adapters.base import Adapter, Candidate, Judged, Problem
from kshot.fewshot.anchors import Drift, anchor_rows, drift
from kshot.fewshot.curve import FEWEST as FEWEST_OF_CURVE
from kshot.fewshot.curve import TOO_FEW, Point, learning_curve
from kshot.fewshot.expected import Expected, expected
from kshot.fewshot.jacobian import MEMORY, Bounds, Rows, rows, within_bounds
from kshot.fewshot.least_squares import Fit, Gram, Prior, Solved, grams
from kshot.fewshot.shots import Shots, moved, shots
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece, pieces

if TYPE_CHECKING:
    from kshot.potentials.model_ase import ModelCalculator


@dataclass(frozen=True, eq=False)
class Adapted:
    """An adapted model, and how it came about.

    Args:
        model: ready to predict: `Model.predict`, `Model.calculator`.
        chosen: the method that was used.
        candidates: all methods that were tried.
        labels: how many frames it was adapted to.
        atoms: of a frame, on average.
        curve: expected errors against the number of labels; the last points are extrapolated.
        drift: what the model has forgotten, on anchors; None where the start has none.
        notes: what a user should know of it, a sentence each.
    """

    model: Model
    chosen: Candidate
    candidates: tuple[Candidate, ...]
    labels: int
    atoms: float
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

    def expected(self, candidate: Candidate) -> Expected:
        """Return what errors to expect of a candidate on new frames like the labelled ones."""
        return expected(candidate.error, self.labels, self.atoms)

    def summary(self) -> dict[str, Any]:
        """Return everything but the model as plain JSON values.

        - ``chosen``, ``candidates``: of each method its name (``method``), whether it is a plain
          ``baseline`` and is ``chosen``; ``factor`` and ``steps`` and the ``limits`` of their
          search that it hit (``scale``, ``steps``); ``cv_energy_rmse_eV`` and
          ``cv_force_rmse_eV_per_A``, errors left out that it was chosen by, which are too small as
          a promise; ``expected_energy_rmse_eV`` and ``expected_force_rmse_eV_per_A``, errors to
          expect on new frames, and the ends of their intervals (``…_low``, ``…_high``).
        - ``curve``: expected errors against ``labels``, see `kshot.fewshot.curve.Point`.
        - ``drift``: errors on anchors before and after, ``forces_ratio`` of the two; or None.
        - ``notes``: sentences.
        """
        return {
            "chosen": self._summary_of(self.chosen),
            "candidates": [self._summary_of(candidate) for candidate in self.candidates],
            "curve": [point._asdict() for point in self.curve],
            "drift": None if self.drift is None else self.drift.summary(),
            "notes": list(self.notes),
        }

    def _summary_of(self, candidate: Candidate) -> dict[str, Any]:
        errors = self.expected(candidate)
        return {
            "method": candidate.method.name,
            "baseline": candidate.method.baseline,
            "chosen": candidate is self.chosen,  # a start's own rule may be called finetune, too
            "factor": candidate.factor,
            "steps": candidate.steps,
            "limits": list(candidate.limits),
            "cv_energy_rmse_eV": candidate.error.energy,
            "cv_force_rmse_eV_per_A": candidate.error.forces,
            "expected_energy_rmse_eV": errors.energy,
            "expected_energy_rmse_eV_low": errors.energy_low,
            "expected_energy_rmse_eV_high": errors.energy_high,
            "expected_force_rmse_eV_per_A": errors.forces,
            "expected_force_rmse_eV_per_A_low": errors.forces_low,
            "expected_force_rmse_eV_per_A_high": errors.forces_high,
        }


def adapt(
    start: Model,
    labelled: Sequence[Labelled],
    *,
    methods: Sequence[str] | None = None,
    keep: float = 1.0,
    seed: int = 0,
    cache: Path | None = None,
    memory: float = MEMORY,
    told: Callable[[str], None] = lambda _: None,
) -> Adapted:
    """Adapt a start to K labelled structures.

    Args:
        start: a meta-trained model.
        labelled: the K; at least two.
        methods: names of `kshot.fewshot.adapters.adapters` to choose among, those of
            `kshot.fewshot.adapters.usual` if None; one at least in closed form.
        keep: how strongly the start's anchors are held; 0 lets it forget.
        seed: of folds and directions.
        cache: a folder where the anchors' derivatives are kept for the next adaptation.
        memory: bytes of derivatives that may be held at once; where those of all labels do not
            fit, they are computed whenever they are read.
        told: called with the name of each part of the work when it is done, `parts` times, from
            any thread.

    Raises:
        TaskError: too few labels.
        UnknownNameError, OptionError: see `kshot.fewshot.adapters.named`.
        OptionError: too little memory, see `kshot.fewshot.jacobian.within_bounds`.
    """
    chosen = named(usual(start) if methods is None else methods)
    require_enough(chosen, len(labelled))
    tried = [adapter for each in chosen if (adapter := each.of(start)) is not None]
    frames = to_pieces(start, labelled)
    bounds = within_bounds(len(frames), start.params, memory)
    own, anchors = both(
        lambda: linearised(start, frames, bounds, seed),
        lambda: anchor_rows(start, cache, bounds.memory) if keep > 0 else None,
    )
    told("derivatives")
    problems = grams(own, priors_of(tried, start, own), anchors, keep)
    adapted = choose_among(shots(start, frames, own), tried, problems, seed, told)
    forgotten = adapted.drift and adapted.drift.warning(keep)
    return replace(adapted, notes=(*adapted.notes, forgotten)) if forgotten else adapted


def require_enough(chosen: Sequence[Adapter], labels: int) -> None:
    """Raise unless there are labels enough for every adapter.

    Raises:
        TaskError: too few.
    """
    neediest = max(chosen, key=lambda adapter: adapter.fewest)
    if labels < neediest.fewest:
        expected = f"{neediest.fewest} labels or more, for {neediest.name}"
        todo = "Add labels; five are a sensible least."
        if any(adapter.fewest <= labels for adapter in chosen):
            todo = "Add labels, or leave it out: the other methods take fewer."
        raise TaskError(expected, str(labels), todo)


def priors_of(tried: Sequence[Adapter], start: Model, own: Rows) -> dict[str, Prior]:
    """Return the priors of the adapters that have one, by name."""
    priors = {adapter.name: adapter.prior(start, own) for adapter in tried}
    return {name: prior for name, prior in priors.items() if prior is not None}


def linearised(start: Model, frames: Sequence[Piece], bounds: Bounds, seed: int) -> Rows:
    """Return a start's rows on labelled frames, within bounds."""
    return rows(
        start.potential,
        start.params,
        frames,
        directions=bounds.directions,
        seed=seed,
        memory=bounds.memory,
    )


def parts(start: Model, methods: Sequence[str], labels: int) -> int:
    """Return in how many parts `adapt` tells of its work: derivatives, and those of each method."""
    tried = [adapter.of(start) for adapter in named(methods)]
    return 1 + sum(adapter.parts(labels) for adapter in tried if adapter is not None)


class Outcome(NamedTuple):
    """An adapter that was judged, on its problem."""

    adapter: Adapter
    problem: Problem
    judged: Judged

    def model(self) -> Model:
        """Return the start adapted to all labels."""
        return apply(self.problem.shots.start, self.adapter.fit(self.problem, self.judged))


def choose_among(
    task: Shots,
    tried: Sequence[Adapter],
    problems: Mapping[str, Gram],
    seed: int,
    told: Callable[[str], None] = lambda _: None,
) -> Adapted:
    """Return the model adapted by the best of some adapters, whose problems are set up already.

    Args:
        task: the labels.
        tried: adapters, one at least in closed form.
        problems: linear ones, by the name of their adapter.
        seed: of folds.
        told: called with the name of each adapter when it has been judged.
    """
    candidates: list[Candidate] = []
    best: Outcome | None = None
    linear: Solved | None = None
    least = np.inf
    # closed forms come first: what they solve is let go before others begin.
    for adapter in sorted(tried, key=lambda adapter: adapter.name not in problems):
        problem = Problem(task, problems.get(adapter.name), seed, told)
        outcome = Outcome(adapter, problem, adapter.judge(problem))
        candidate, solved = outcome.judged
        candidates.append(candidate)
        if best is None or candidate.error.together < best.judged.candidate.error.together:
            best = outcome
        if solved is not None and (linear is None or candidate.error.together < least):
            linear, least = solved, candidate.error.together
        told(adapter.name)
    assert best is not None, "no adapter"
    assert linear is not None, "no adapter in closed form"
    chosen, curve_of = best.judged.candidate, linear
    # what more labels are worth is read off the linear problem, whoever won.
    model, curve = both(best.model, lambda: learning_curve(curve_of, chosen.error, seed))
    labels, atoms = len(task.frames), float(task.rows.counts.sum(1).mean())
    lost = drift(task.start, model)
    notes = tuple(notes_of(chosen, labels))
    return Adapted(model, chosen, tuple(candidates), labels, atoms, curve, lost, notes)


def adapted_by(task: Shots, problems: Mapping[str, Gram], candidate: Candidate, seed: int) -> Model:
    """Return the start adapted to all labels in the way of a candidate."""
    adapter = candidate.method
    problem = Problem(task, problems.get(adapter.name), seed)
    return Outcome(adapter, problem, Judged(candidate, None)).model()


def notes_of(chosen: Candidate, labels: int) -> Iterator[str]:
    """Yield what a user should know of how a method was chosen."""
    if "scale" in chosen.limits:
        yield f"the scale of the prior ended at the edge of its grid, {chosen.factor:g}"
    if "steps" in chosen.limits:
        yield f"{chosen.steps} steps, the most there are: more would still have helped"
    if labels < FEWEST_OF_CURVE:
        yield TOO_FEW.format(labels, FEWEST_OF_CURVE)


def to_pieces(start: Model, labelled: Sequence[Labelled]) -> list[Piece]:
    """Return labelled structures less the start's E0s."""
    sums = E0s(start.e0s, "dictionary").sums([frame.structure for frame in labelled])
    return pieces(labelled, start.potential.cutoff, sums, start.dtype)


def apply(start: Model, fit: Fit) -> Model:
    """Return the start moved by a fit; shifts of elements go into its E0s."""
    e0s = dict(start.e0s)
    for number, shift in zip(start.potential.elements, fit.shifts, strict=True):
        e0s[number] += float(shift)
    return start.with_(params=moved(start.params, fit.move), e0s=e0s)
