"""The contract of an inner rule."""

from __future__ import annotations

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from kshot.meta.inner_loss import InnerLoss
from kshot.meta.learner import Learner, Where, make_learner
from kshot.meta.metagrads import mixed_mode, unrolled
from kshot.meta.metagrads.routes import REVERSE
from kshot.meta.rules.base import InnerRule, StepInfo
from kshot.testing.expect import expect_close, expect_same_type
from kshot.testing.metagrads import check_repeatable, check_training, check_vmap, filled_in
from kshot.testing.problems import Problem, sinusoid_problem
from kshot.testing.witnesses import difference_slope, expect_slopes

STEPS = 2


class EveryLeafLearned(InnerRule):
    """A rule whose fixed leaves are learned too, so that their derivatives can be seen.

    Args:
        inner: the rule.
    """

    inner: InnerRule

    def prepare(self, params: PyTree, steps: int) -> EveryLeafLearned:
        """Prepare the rule inside."""
        return EveryLeafLearned(self.inner.prepare(params, steps))

    def learned(self) -> PyTree:
        """Return True for every leaf."""
        return jax.tree.map(lambda _: True, self)

    def init(self, params: PyTree) -> PyTree:
        """Return the inner rule's state."""
        return self.inner.init(params)

    def step(
        self, loss: InnerLoss, params: PyTree, data: PyTree, state: PyTree
    ) -> tuple[PyTree, PyTree, StepInfo]:
        """Move by the rule inside."""
        return self.inner.step(loss, params, data, state)


def check_rule(make: Callable[[], InnerRule], adapts: Where | None = None) -> None:
    """Check everything a rule promises.

    * Parameters and state keep their types, and repeated steps are traced once.
    * Under ``vmap`` it does what it does in a loop, and the same input gives the same bits.
    * In float64, its exact meta-gradient by ``unrolled``, by ``mixed_mode`` and by central
      differences agree on every leaf of the learner, the rule's own included.
    * A short meta-training with it lowers the query loss on unseen sinusoids.

    Args:
        make: makes the rule; called anew in each precision.
        adapts: the leaves it may move, for a rule that cannot move all
            (`kshot.testing.problems.last_layer` for one that is closed-form).

    Raises:
        ContractError: a promise is broken.
    """
    check_types(make, sinusoid_problem(adapts))
    with jax.enable_x64(True):
        check_derivatives(make, sinusoid_problem(adapts))
    check_training(mixed_mode(STEPS), make(), sinusoid_problem(adapts))


def check_types(make: Callable[[], InnerRule], problem: Problem) -> None:
    """Check that parameters and state keep structure, dtype and weak type."""
    learner = make_learner(problem.params, make(), STEPS, problem.adapts)
    moving, still = learner.split()
    inner = InnerLoss(problem.loss, still, None, REVERSE)

    def step(carry: PyTree) -> PyTree:
        return learner.rule.step(inner, carry[0], problem.task().support, carry[1])[:2]

    start = (moving, learner.rule.init(moving))
    expect_same_type("the (params, state) of a rule", start, jax.eval_shape(step, start))


def check_derivatives(make: Callable[[], InnerRule], problem: Problem) -> None:
    """Check the exact meta-gradient by two strategies, by central differences, and under vmap."""
    rule = EveryLeafLearned(make())
    learner: Learner = make_learner(problem.params, rule, STEPS, problem.adapts)
    reverse = filled_in(unrolled(STEPS), problem.loss)
    mixed = filled_in(mixed_mode(STEPS, memory="per_step"), problem.loss)
    task = problem.task()
    rival = mixed(learner, task)[1]
    expect_close("unrolled = mixed_mode", reverse(learner, task)[1], rival, 1e-10)
    expect_slopes(reverse, learner, task, difference_slope)
    check_repeatable(reverse, learner, task)
    check_vmap(reverse, learner, problem.tasks)
