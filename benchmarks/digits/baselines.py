"""What needs no meta-learning: nearest centroids, and logistic regression on the K shots."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import network
import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from kshot.meta import Task

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def centroid_errors(tasks: Task, features: Callable) -> np.ndarray:
    """Return the share misclassified per task by the nearest class mean of ``features(images)``."""

    def one(task: Task):
        (images, labels), (query, answers) = task.support, task.query
        # together, so that batch statistics are the same for both.
        both = features(jnp.concatenate([images, query]))
        shots, asked = both[: len(images)], both[len(images) :]
        member = jax.nn.one_hot(labels, WAY)
        means = member.T @ shots / member.sum(0)[:, None]
        nearest = jnp.sum((asked[:, None] - means) ** 2, -1).argmin(1)
        return jnp.mean(nearest != answers)

    return np.asarray(jax.jit(lambda t: jax.lax.map(one, t))(tasks), np.float64)


WAY = 3


def pixels(images):
    """Images as vectors."""
    return images.reshape(len(images), -1)


def learned(net: network.Net) -> Callable:
    """Features of a network, normalised by the batch."""
    return lambda images: network.features(net, images)[0]


def logistic_wrong(tasks: Task, strength: float, weight: str | None = None) -> np.ndarray:
    """Return ``(tasks, query)`` whether logistic regression on the support's pixels is wrong."""
    (images, labels), (query, answers) = jax.tree.map(np.asarray, (tasks.support, tasks.query))
    wrong = np.empty(answers.shape, bool)
    # problems this small only lose by more threads than one.
    with threadpool_limits(1):
        for i in range(len(labels)):
            model = LogisticRegression(C=strength, class_weight=weight, max_iter=1000)
            model.fit(images[i].reshape(len(labels[i]), -1), labels[i])
            wrong[i] = model.predict(query[i].reshape(len(answers[i]), -1)) != answers[i]
    return wrong


def tuned_logistic(
    validation: Task, test: Task, weight: str | None = None
) -> tuple[np.ndarray, float]:
    """Return ``(tasks, query)`` mistakes at the strength that is best on validation episodes."""
    few = jax.tree.map(lambda x: x[:60], validation)
    best = min(STRENGTHS, key=lambda c: logistic_wrong(few, c, weight).mean())
    return logistic_wrong(test, best, weight), best
