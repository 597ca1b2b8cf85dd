"""An inner rule that a start was meta-trained for: kept with it, and run on K labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from kshot import meta
from kshot.core.errors import UnknownNameError
from kshot.fewshot.adapters.base import Adapter, Judged, Problem
from kshot.fewshot.adapters.stepwise import Learn, Stepwise
from kshot.fewshot.algorithms import Algorithm, Optimiser
from kshot.fewshot.folds import Fitted, Fold
from kshot.fewshot.recipes import RECIPES, Options
from kshot.potentials import EnergyForces
from kshot.potentials.model import Model
from kshot.potentials.packed import pack, size_of

KEY = "inner"
"""Of what a start has learned."""


@dataclass(frozen=True, eq=False)
class Inner(Stepwise):
    """An algorithm of the engine, and what its rule has learned.

    Args:
        name: of the algorithm, in `kshot.fewshot.recipes.RECIPES`.
        loss: of energies and forces.
        options: what the algorithm was told.
        steps: at adaptation.
        learned: the rule's arrays (rates, precisions), flat; None before training.
    """

    name: Algorithm  # pyright: ignore[reportIncompatibleVariableOverride]
    loss: EnergyForces
    options: Options
    steps: int
    learned: tuple[np.ndarray, ...] | None = None
    title: str = "the start's own rule"
    baseline: bool = False

    def competes(self, start: Model) -> bool:
        """Return True: whoever has it was meta-trained for it."""
        del start
        return True

    def algorithm(self) -> meta.Bilevel:
        """Return it as an algorithm of the engine."""
        return RECIPES[self.name](self.loss, self.options)

    def state(self, algorithm: meta.Bilevel, params: PyTree) -> meta.State:
        """Return the engine's state for parameters, with what the rule has learned."""
        state = algorithm.init(jax.tree.map(jnp.asarray, params))
        if self.learned is None:
            return state
        rule = state.learner.rule
        structure = jax.tree.structure(rule)
        arrays = [jnp.asarray(leaf) for leaf in self.learned]
        put = jax.tree.unflatten(structure, arrays)
        return eqx.tree_at(lambda state: state.learner.rule, state, put)

    def learner(self, problem: Problem) -> Learn:
        """Return what takes the rule's steps on frames that are kept."""
        start, frames = problem.shots.start, problem.shots.frames
        algorithm, room = self.algorithm(), size_of(frames)
        state = self.state(algorithm, start.params)

        def learn(kept: np.ndarray) -> PyTree:
            chosen = [frames[i] for i in kept]
            packed = pack(chosen, room, len(frames), start.potential.cutoff, start.dtype)
            return algorithm.adapt(state, packed, self.steps)

        return learn


def with_inner(
    model: Model, inner: Inner, params: PyTree, rule: meta.rules.InnerRule | None = None
) -> Model:
    """Return a start with parameters, and the rule they are for; by default as it began."""
    if rule is None:
        rule = inner.state(inner.algorithm(), params).learner.rule
    options = {name: v for name, v in inner.options._asdict().items() if name != "optimiser"}
    record = {
        **{name: np.asarray(value) for name, value in options.items()},
        "sgd": np.asarray(inner.options.optimiser == "sgd"),
        "energy_weight": np.asarray(inner.loss.energy_weight),
        "forces_weight": np.asarray(inner.loss.forces_weight),
        "adapt_steps": np.asarray(inner.steps),
        "rule": [np.asarray(leaf) for leaf in jax.tree.leaves(rule)],
    }
    return model.with_(params=params, learned={**model.learned, KEY: {inner.name: record}})


def inner_of(model: Model) -> Inner | None:
    """Return the rule that a start was meta-trained for; None if there is none.

    Raises:
        UnknownNameError: it is of an algorithm that this version does not know.
    """
    if KEY not in model.learned:
        return None
    ((name, record),) = model.learned[KEY].items()
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise UnknownNameError(f"the start's rule is of {name!r}, unknown here. Known: {known}.")
    number = lambda key: np.asarray(record[key]).item()  # noqa: E731
    optimiser: Optimiser = "sgd" if number("sgd") else "adam"
    fields = [field for field in Options._fields if field != "optimiser"]
    options = Options(optimiser=optimiser, **{field: number(field) for field in fields})
    loss = energy_forces(model, number("energy_weight"), number("forces_weight"))
    return Inner(name, loss, options, number("adapt_steps"), tuple(record["rule"]))


def energy_forces(model: Model, energy_weight: float, forces_weight: float) -> EnergyForces:
    """Return the loss of an inner rule: shifts of elements are solved inside it."""
    return EnergyForces(
        model.potential,
        energy_weight=energy_weight,
        forces_weight=forces_weight,
        shift="fitted",
    )


class Brought(Adapter):
    """The rule that a start brings: each start its own, or none."""

    name = KEY
    title = "the start's own rule"
    baseline = False

    def of(self, start: Model) -> Adapter | None:
        """Return the start's rule; None if it brings none."""
        return inner_of(start)

    def competes(self, start: Model) -> bool:
        """Return whether the start brings a rule."""
        return KEY in start.learned

    def judge(self, problem: Problem) -> Judged:
        """Judge the rule of the problem's start."""
        return self._rule(problem).judge(problem)

    def fits(
        self, problem: Problem, judged: Judged, folds: Sequence[Fold]
    ) -> Iterator[list[Fitted]]:
        """Yield once: fits by the rule of the problem's start."""
        return self._rule(problem).fits(problem, judged, folds)

    def _rule(self, problem: Problem) -> Inner:
        rule = inner_of(problem.shots.start)
        assert rule is not None, "a start without a rule"
        return rule


INNER = Brought()
