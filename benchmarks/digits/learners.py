"""The meta-learners, and how each is trained, given its number of steps, and judged."""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import network
import numpy as np
import optax
from episodes import Shape, Split, Training, draw

from kshot import meta
from kshot.meta import evaluate
from kshot.meta.evaluate.curves import make_curve

INNER_STEPS, INNER_RATE, OUTER_RATE, PRECISION = 5, 0.2, 1e-2, 0.1
META_BATCH, TRAIN_QUERY, MOST_STEPS = 8, 5, 15
TASKS = 256  # of validation and of test: equal shapes share a program


class Contestant(NamedTuple):
    """One meta-learner.

    Args:
        algorithm: with its loss.
        most_steps: inner steps at test to choose from.
        shot_error: ``(net, data, moments)`` → 1 for each shot misclassified.
        error: its mean.
    """

    algorithm: meta.Bilevel
    most_steps: int = MOST_STEPS
    shot_error: Callable = network.shot_error
    error: Callable = network.misclassified


def learners(steps: int) -> dict[str, Contestant]:
    """Return the contestants; ``steps`` outer steps are planned."""
    outer = optax.adam(optax.cosine_decay_schedule(OUTER_RATE, steps, 0.01))
    rule = meta.rules.sgd(INNER_RATE)
    exact = {"rule": rule, "steps": INNER_STEPS, "memory": "per_step", "outer": outer}
    batch, running, head = network.transductive, network.stateful(), network.head
    plus = {"rate": INNER_RATE, "steps": INNER_STEPS, "total": steps, "peak": OUTER_RATE}
    by_batch, by_image = (
        meta.ridge(network.one_hot(normaliser), head, PRECISION, outer=outer)
        for normaliser in (network.of_batch, network.of_image)
    )
    image_errors = network.shot_error_by_image, network.misclassified_by_image
    return {
        "MAML, transductive": Contestant(meta.maml(batch, **exact)),
        "MAML, running": Contestant(meta.maml(running, **exact)),
        "FOMAML, transductive": Contestant(meta.fomaml(batch, rule, INNER_STEPS, outer=outer)),
        "ANIL, transductive": Contestant(meta.anil(batch, head, rule, INNER_STEPS, outer=outer)),
        "MAML++, running": Contestant(meta.mamlpp(running, **plus)),
        "ridge head, transductive": Contestant(by_batch, 1),
        "ridge head, by image": Contestant(by_image, 1, *image_errors),
    }


def train(algorithm: meta.Bilevel, split: Split, shape: Shape, steps: int, seed: int) -> meta.State:
    """Train on episodes of the training digits."""
    state = algorithm.init(network.init(jax.random.key(seed), shape.way), key=seed)
    sampler = Training(
        jnp.asarray(split.train), jnp.asarray(seed), shape._replace(query=TRAIN_QUERY), META_BATCH
    )
    # the seed is in the sampler: one compiled program serves all of them.
    return meta.train(algorithm, state, sampler, steps, progress="none").state


def validation_and_test(split: Split, shape: Shape) -> tuple[meta.Task, meta.Task]:
    """Return the episodes every contestant chooses its options on, and those it is judged on."""
    validation = draw(jax.random.key(1), jnp.asarray(split.validation), shape, TASKS)
    return validation, draw(jax.random.key(2), jnp.asarray(split.test), shape, TASKS)


def chosen_steps(contestant: Contestant, state: meta.State, validation: meta.Task) -> int:
    """Return how many inner steps do best on validation episodes."""
    algorithm, most, _, error = contestant
    return evaluate.choose_steps(algorithm, state, validation, most, error).steps


def judge(
    contestant: Contestant, state: meta.State, validation: meta.Task, test: meta.Task
) -> tuple[evaluate.Curve, int]:
    """Return the test error before adaptation and after the chosen number of steps."""
    algorithm, most, _, error = contestant
    steps = chosen_steps(contestant, state, validation)
    # always the most steps, then the columns wanted: one program for every choice.
    errors = evaluate.task_errors(algorithm, state, test, most, error)
    return make_curve("inner steps", np.asarray([0, 1]), errors[:, [0, steps]], errors[:, 0]), steps


def scratch(
    validation: meta.Task, test: meta.Task, way: int, seed: int
) -> tuple[evaluate.Curve, str]:
    """Return the error of training from scratch, its rate and number of steps tuned."""
    algorithm, error, most = scratch_algorithm(), network.misclassified, 60
    state = algorithm.init(network.init(jax.random.key(seed), way), key=seed)
    tried = [with_rate(state, rate) for rate in (0.001, 0.003, 0.01, 0.03)]
    choices = [evaluate.choose_steps(algorithm, s, validation, most, error) for s in tried]
    best = int(np.argmin([choice.curve.mean[choice.steps] for choice in choices]))
    steps, rate = choices[best].steps, float(tried[best].learner.rule.rate)
    errors = evaluate.task_errors(algorithm, tried[best], test, most, error)
    curve = make_curve("inner steps", np.asarray([0, 1]), errors[:, [0, steps]], errors[:, 0])
    return curve, f"Adam {rate:g}, {steps} steps"


def scratch_algorithm() -> meta.Bilevel:
    """Return training from scratch with Adam; see ``with_rate``."""
    return meta.scratch(network.transductive, meta.rules.adam(0.01))


def with_rate(state: meta.State, rate: float) -> meta.State:
    """Return the state with another inner rate: an input, so that nothing is compiled again."""
    return eqx.tree_at(lambda s: s.learner.rule.rate, state, jnp.asarray(rate))
