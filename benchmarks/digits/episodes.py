"""Episodes of few-shot classification from scikit-learn's bundled digits: 8×8, ten classes."""

from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from kshot.meta import Task

TRAINING_CLASSES = 6
SIDE = 10  # of the canvas that the 8×8 images are put on


class Split(NamedTuple):
    """Images in [0, 1], ``(digits, orientations, images, 8, 8)``.

    ``train`` and ``validation`` hold different images of the same digits, for training and for
    choosing options; ``test`` holds the digits held out. Six digits are few classes to learn to
    learn from, so in training each comes in eight orientations (four turns, mirrored or not), and
    each orientation of a digit is a class of its own. Elsewhere digits stand upright.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    test_digits: tuple[int, ...]


class Shape(NamedTuple):
    """What an episode looks like.

    ``counts`` are the support shots of the classes of an episode, one number per class; which class
    gets which number is drawn anew for every episode.
    """

    counts: tuple[int, ...]
    query: int = 10

    @property
    def way(self) -> int:
        """How many classes an episode has."""
        return len(self.counts)

    def groups(self) -> tuple[np.ndarray, np.ndarray]:
        """Which of ``counts`` each support shot and each query shot belongs to."""
        classes = np.arange(self.way)
        return np.repeat(classes, self.counts), np.repeat(classes, self.query)


def split(seed: int) -> Split:
    """Draw the training classes of one seed; the other four digits are held out."""
    digits = load_digits()
    order = np.random.default_rng([seed, 1]).permutation(10)
    fewest = np.bincount(digits.target).min()
    by_class = np.stack([digits.images[digits.target == d][:fewest] for d in range(10)])
    by_class = (by_class / 16.0).astype(np.float32)
    seen, held_out = order[:TRAINING_CLASSES], order[TRAINING_CLASSES:]
    cut = int(0.8 * fewest)
    known, new = by_class[seen], by_class[held_out]
    return Split(
        train=orientations(known[:, :cut]),
        validation=known[:, None, cut:],
        test=new[:, None],
        test_digits=tuple(held_out.tolist()),
    )


def orientations(images: np.ndarray) -> np.ndarray:
    """``(digits, images, 8, 8)`` → ``(digits, 8, images, 8, 8)``: four turns, mirrored or not."""
    turned = [np.rot90(images, turns, axes=(2, 3)) for turns in range(4)]
    return np.stack([*turned, *(t[..., ::-1] for t in turned)], axis=1)


class Training(eqx.Module):
    """The sampler of training episodes.

    Its arrays are inputs of the compiled training loop, so that one program serves every seed.
    """

    images: jax.Array
    seed: jax.Array
    shape: Shape = eqx.field(static=True)
    tasks: int = eqx.field(static=True)

    def __call__(self, key) -> Task:
        key = jax.random.fold_in(key, self.seed)
        return draw(key, self.images, self.shape, self.tasks)


@partial(jax.jit, static_argnums=(2, 3))
def draw(key, images, shape: Shape, tasks: int) -> Task:
    """Draw a stack of episodes; inputs ``(shots, 10, 10)``, labels int32 in ``0 … way-1``."""
    one = lambda k: shifted(jax.random.fold_in(k, 1), episode(k, images, shape))  # noqa: E731
    return jax.vmap(one)(jax.random.split(key, tasks))


def episode(key, images, shape: Shape) -> Task:
    """Draw one episode: classes of distinct digits, and disjoint support and query images."""
    digit_key, turn_key, image_key, count_key = jax.random.split(key, 4)
    digits = distinct(digit_key, images.shape[0], shape.way)
    turns = jax.random.randint(turn_key, (shape.way,), 0, images.shape[1])
    most = max(shape.counts)
    some = lambda k: distinct(k, images.shape[2], most + shape.query)  # noqa: E731
    chosen = jax.vmap(some)(jax.random.split(image_key, shape.way))
    label_of = distinct(count_key, shape.way, shape.way)
    support, query = shape.groups()
    within = np.concatenate([np.arange(count) for count in shape.counts])
    later = np.tile(np.arange(most, most + shape.query), shape.way)

    def shots(group, at):
        images_of = images[digits[group], turns[group], chosen[group, at]]
        return images_of, label_of[group]

    return Task(shots(support, within), shots(query, later))


def distinct(key, n: int, k: int):
    """Draw ``k`` different numbers below ``n``, in random order (sorting compiles slowly)."""
    return jax.lax.top_k(jax.random.uniform(key, (n,)), k)[1]


def shifted(key, task: Task) -> Task:
    """Put every image of an episode somewhere on a larger canvas, each on its own.

    A few shots do not show what to ignore, other classes do: that is what can be meta-learned here.
    Where images stay in place, class means of their pixels are hard to beat.
    """

    def move(key, images):
        corners = jax.random.randint(key, (len(images), 2), 0, SIDE - 7)
        canvas = jnp.zeros((SIDE, SIDE))
        put = lambda image, at: jax.lax.dynamic_update_slice(canvas, image, at)  # noqa: E731
        return jax.vmap(put)(images, corners)

    support_key, query_key = jax.random.split(key)
    (support, labels), (query, answers) = task.support, task.query
    return Task((move(support_key, support), labels), (move(query_key, query), answers))
