"""The contract of a meta-gradient."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from kshot.meta.algorithms.common import bilevel
from kshot.meta.learner import Learner, Where, make_learner
from kshot.meta.loss import Objective
from kshot.meta.metagrads.base import MetaGrad
from kshot.meta.rules import sgd
from kshot.meta.rules.base import InnerRule
from kshot.meta.task import Task, take
from kshot.testing.expect import expect, expect_close, expect_same_type
from kshot.testing.problems import Problem, sinusoid_problem
from kshot.testing.training import expect_improvement, train, unseen_losses
from kshot.testing.witnesses import Graded, Witness, difference_slope, expect_slopes

MakeWitness = Callable[[MetaGrad, Objective], Witness]


def exact(metagrad: MetaGrad, loss: Objective) -> Witness:
    """Return the witness of a meta-gradient that is the gradient of the loss it tells."""
    del metagrad, loss
    return difference_slope


def check_metagrad(
    make: Callable[[], MetaGrad],
    rule: Callable[[], InnerRule] = lambda: sgd(0.05),
    adapts: Where | None = None,
    witness: MakeWitness = exact,
) -> None:
    """Check everything a meta-gradient promises.

    * The gradient is shaped like the learner, and the outcome has a scalar loss and one support
      loss per inner step.
    * In float64, it has the slope a witness tells along every leaf of the learner: by default that
      of central differences of the loss it tells.
    * Under ``vmap`` it does what it does in a loop, and the same input gives the same bits.
    * A short training with it lowers the query loss on unseen sinusoids; steps are traced once.

    Args:
        make: makes the meta-gradient; called anew in each precision.
        rule: makes the inner rule to try it with.
        adapts: the leaves that adapt; all if None.
        witness: another way to its slopes, for an estimator that is not the gradient of its loss:
            `kshot.testing.first_order_slope`, `kshot.testing.reptile_slope` or yours.

    Raises:
        ContractError: a promise is broken.
    """
    with jax.enable_x64(True):
        problem, metagrad = sinusoid_problem(adapts), make()
        learner = make_learner(problem.params, rule(), metagrad.steps, adapts)
        graded = filled_in(metagrad, problem.loss)
        check_shapes(metagrad, graded, learner, problem)
        expect_slopes(graded, learner, problem.task(), witness(metagrad, problem.loss))
        check_repeatable(graded, learner, problem.task())
        check_vmap(graded, learner, problem.tasks)
    check_training(make(), rule(), sinusoid_problem(adapts))


def filled_in(metagrad: MetaGrad, loss: Objective) -> Graded:
    """Return the compiled meta-gradient with the loss filled in."""
    return jax.jit(lambda learner, task: metagrad(learner, loss, task))


def check_shapes(metagrad: MetaGrad, graded: Graded, learner: Learner, problem: Problem) -> None:
    """Check the shapes of gradient and outcome."""
    outcome, gradient = jax.eval_shape(graded, learner, problem.task())
    expect_same_type("a meta-gradient, shaped like its learner", learner, gradient)
    todo = "Return Outcome(loss, support_losses, …)."
    expect(outcome.loss.shape == (), "a scalar outcome.loss", outcome.loss.shape, todo)
    losses = outcome.support_losses.shape
    expect(losses == (metagrad.steps,), f"{metagrad.steps} support losses", losses, todo)


def check_repeatable(graded: Graded, learner: Learner, task: Task) -> None:
    """Check that the same input gives the same bits."""
    first, again = graded(learner, task), graded(learner, task)
    expect_close("the same input twice", again, first, 0.0)


def check_vmap(graded: Graded, learner: Learner, tasks: Task) -> None:
    """Check that a stack of tasks under ``vmap`` gives what a loop over it gives."""
    together = jax.jit(jax.vmap(graded, (None, 0)))(learner, tasks)
    count = len(jax.tree.leaves(tasks)[0])
    alone = [graded(learner, take(tasks, i)) for i in range(count)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *alone)
    expect_close("vmap = loop", together, stacked, 1e-8)


def check_training(metagrad: MetaGrad, rule: InnerRule, problem: Problem) -> None:
    """Check that training lowers the query loss on unseen tasks."""
    algorithm = bilevel(problem.loss, rule, metagrad, outer=optax.adam(0.01), adapts=problem.adapts)
    start = algorithm.init(problem.params)
    end, _ = train(algorithm, start)
    losses = unseen_losses(algorithm)
    expect_improvement(float(losses(start)[-1]), float(losses(end)[-1]))
