"""Imbalanced supports: one class of an episode has many shots, the others one; queries are even.

Which class is the large one is drawn anew for every episode, so that no fixed bias of the
initialisation can correct the imbalance: only adapting differently can.
"""

import jax
import network
import numpy as np
from baselines import tuned_logistic
from episodes import Shape, Split, split
from learners import (
    TASKS,
    Contestant,
    chosen_steps,
    learners,
    scratch_algorithm,
    train,
    validation_and_test,
    with_rate,
)

from kshot import meta
from kshot.meta import evaluate

EVEN, UNEVEN = (3, 3, 3), (7, 1, 1)
METHODS = (
    "MAML, transductive",
    "MAML, running",
    "ridge head, transductive",
    "ridge head, by image",
)


def learned(name: str, seed: int, steps: int) -> dict[str, dict]:
    """Return the accuracies of one meta-learner, trained on each make-up of the support."""
    digits, full, tuning, test = setting(seed)
    contestant, found = learners(steps)[name], {}
    for trained_on, counts in (("even", EVEN), ("uneven", UNEVEN)):
        state = train(contestant.algorithm, digits, Shape(counts), steps, seed)
        chosen = chosen_steps(contestant, state, tuning)
        found[f"{name}, trained on {trained_on}"] = by_class(contestant, state, test, full, chosen)
    return found


def baselines_alone(seed: int) -> dict[str, dict]:
    """Return the same for logistic regression, plain and with balanced weights."""
    _, full, tuning, test = setting(seed)
    weights = {"logistic regression": None, "the same, balanced": "balanced"}
    return {name: logistic(tuning, test, full, weight) for name, weight in weights.items()}


def setting(seed: int) -> tuple[Split, Shape, meta.Task, meta.Task]:
    """Return the digits, and the episodes for choosing options and for judging."""
    digits = split(seed)
    # supports with enough of everything; each make-up is cut from the same episodes.
    full = Shape((7, 3, 3))
    validation, test = validation_and_test(digits, full)
    tuning = evaluate.with_counts(validation, np.tile(full.groups()[0], (TASKS, 1)), UNEVEN)
    return digits, full, tuning, test


def by_class(
    contestant: Contestant, state: meta.State, test: meta.Task, full: Shape, steps: int
) -> dict:
    """Return accuracies of the large and the small classes after adapting to each make-up."""
    support, query = (np.tile(g, (TASKS, 1)) for g in full.groups())
    algorithm, _, shot_error, _ = contestant
    result = evaluate.imbalance(
        algorithm, state, test, support, query, (EVEN, UNEVEN), shot_error, steps
    )
    return {**accuracies(result.mean), "steps": steps}


def untrained(seed: int) -> dict:
    """Return the same for training from scratch, tuned on uneven validation episodes."""
    _, full, tuning, test = setting(seed)
    algorithm, error = scratch_algorithm(), network.misclassified
    state = algorithm.init(network.init(jax.random.key(seed), full.way), key=seed)
    tried = [with_rate(state, rate) for rate in (0.003, 0.01, 0.03)]
    choices = [evaluate.choose_steps(algorithm, s, tuning, 60, error) for s in tried]
    best = int(np.argmin([choice.curve.mean[choice.steps] for choice in choices]))
    return by_class(Contestant(algorithm), tried[best], test, full, choices[best].steps)


def logistic(tuning: meta.Task, test: meta.Task, full: Shape, weight: str | None) -> dict:
    """Return the same for logistic regression."""
    groups, query = full.groups()
    tiled = np.tile(groups, (TASKS, 1))
    means = []
    for counts in (EVEN, UNEVEN):
        wrong, _ = tuned_logistic(tuning, evaluate.with_counts(test, tiled, counts), weight)
        means.append([wrong[:, query == g].mean() for g in range(full.way)])
    return accuracies(np.asarray(means))


def accuracies(errors: np.ndarray) -> dict:
    """``(make-ups, classes)`` errors → accuracies of the large class and of the small ones."""
    (even_large, *even_small), (large, *small) = 1 - errors
    return {
        "even": float(np.mean([even_large, *even_small])),
        "large": float(large),
        "small": float(np.mean(small)),
        "mean": float(np.mean([large, *small])),
    }
