"""The ways to adapt a start, each one scale of one prior away from the next.

Every closed-form way is `kshot.fewshot.least_squares` with other parameters held still: none of
them is "zero-shot + shift", the readouts is a "ridge head", all of them is "Gauss-Newton".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, PyTree

from kshot.core.errors import OptionError, UnknownNameError
from kshot.fewshot import priors
from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import Prior
from kshot.fewshot.priors import LEARNED
from kshot.potentials.model import Model

INNER = "inner"
"""The rule that a start was meta-trained for; see `kshot.fewshot.inner`."""
FINETUNE = "finetune"
"""Gradient steps on all parameters; see `kshot.fewshot.finetune`."""
Variance = Callable[[Model, Rows], Float[np.ndarray, " params"]]
"""Of each parameter, for a model that is linearised on labelled frames."""


class Method(NamedTuple):
    """One way to adapt.

    Args:
        name: of it.
        baseline: whether it is one of the plain ways that meta-learning has to beat.
        factors: scales of the prior's variances to choose from, inside the K labels; both ends are
            guards, far from what is chosen.
        steps: of Gauss-Newton, at most; more than one only where the model is not linear.
        variance: of each parameter, see `kshot.fewshot.priors`.
    """

    name: str
    baseline: bool
    factors: tuple[float, ...]
    steps: int
    variance: Variance


def prior_of(method: Method, model: Model, rows: Rows) -> Prior:
    """Return the prior of a method for a model that is linearised on labelled frames."""
    return Prior(method.variance(model, rows), **priors.noises_of(model))


def moved(params: PyTree, move: Float[np.ndarray, " params"]) -> PyTree:
    """Return parameters moved by a flat step; in NumPy, as JAX takes a call for every leaf."""
    leaves, structure = jax.tree.flatten(jax.tree.map(np.asarray, params))
    parts = np.split(move, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(
        structure,
        [
            leaf + part.reshape(leaf.shape).astype(leaf.dtype)
            for leaf, part in zip(leaves, parts, strict=True)
        ],
    )


def stepwise(name: str, steps: int, *, baseline: bool) -> Method:
    """Return a method that has no prior: it moves by so many steps of its own."""
    return Method(name, baseline, factors=(1.0,), steps=steps, variance=priors.nothing)


STEPS = 40  # a guard: they end when they stop helping. All use the Jacobian of the start, so that
# each costs predictions only
SCALES = tuple(10.0**power for power in range(-8, 5))  # guards at both ends; the search is local


def _gauss_newton(name: str, variance: Variance, *, baseline: bool) -> Method:
    return Method(name, baseline, factors=SCALES, steps=STEPS, variance=variance)


METHODS = {
    "shift": stepwise("shift", 1, baseline=True),
    "head": _gauss_newton("head", priors.head, baseline=True),
    "uniform": _gauss_newton("uniform", priors.uniform, baseline=True),
    "relative": _gauss_newton("relative", priors.relative, baseline=True),
    "fisher": _gauss_newton("fisher", priors.fisher, baseline=True),
    "meta": _gauss_newton("meta", priors.learned, baseline=False),
}
"""By name: ``shift`` (zero-shot + shift), ``head`` (ridge on the readouts), and Gauss-Newton on
all parameters: ``uniform`` (one variance), ``relative`` (each leaf's mean square), ``fisher`` (more
where the shots say less), ``meta`` (the meta-learned variances)."""

EVERY = (*METHODS, INNER, FINETUNE)
"""All there is to choose among; ``finetune`` takes minutes."""


def usual(start: Model) -> tuple[str, ...]:
    """Return the names of the methods that compete for a start unless others are asked for.

    They take seconds. A prior that was meta-learned competes with plain ones; where there is none,
    two that are read off the parameters and their derivatives take its place: one variance for all
    is no match for them where leaves differ much in size.
    """
    chosen = ("uniform", "fisher", "meta") if LEARNED in start.learned else ("relative", "fisher")
    rule = (INNER,) if INNER in start.learned else ()
    return ("shift", "head", *chosen, *rule)


def check_methods(names: Sequence[str]) -> None:
    """Raise unless there are such methods, and one of them is in closed form.

    Raises:
        UnknownNameError: a name that is none of `EVERY`.
        OptionError: none in closed form; the learning curve needs one.
    """
    for name in names:
        if name not in EVERY:
            raise UnknownNameError(f"no method is called {name!r}. Known: {', '.join(EVERY)}.")
    if not set(names) & set(METHODS):
        todo = "Add one: shift costs nothing."
        raise OptionError(f"one of {', '.join(METHODS)}", ", ".join(names) or "none", todo)
