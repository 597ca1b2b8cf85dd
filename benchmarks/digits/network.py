"""A small convolutional network, normalised by batch (its own or running moments) or by image.

Convolutions are written as products over image patches: under ``vmap`` over tasks each task has its
own kernels, and XLA's grouped convolutions are slow on CPUs while batched products are not.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from kshot import meta

CHANNELS = (16, 48)
MOMENTUM = 0.1
EPSILON = 1e-3


class Block(NamedTuple):
    """One convolution with its normalisation's scale and shift."""

    kernel: jax.Array
    scale: jax.Array
    shift: jax.Array


class Net(NamedTuple):
    """The body's blocks and the linear head."""

    body: tuple[Block, ...]
    weight: jax.Array
    bias: jax.Array


class Moments(NamedTuple):
    """Mean and variance of each channel of one layer."""

    mean: jax.Array
    variance: jax.Array


def init(key, way: int) -> Net:
    """Draw the parameters; the head starts at zero, so that no label is favoured."""
    body, inputs = [], 1
    for index, channels in enumerate(CHANNELS):
        fan = 9 * inputs
        draw = jax.random.normal(jax.random.fold_in(key, index), (fan, channels))
        body.append(Block(draw * jnp.sqrt(2.0 / fan), jnp.ones(channels), jnp.zeros(channels)))
        inputs = channels
    return Net(tuple(body), jnp.zeros((inputs, way)), jnp.zeros(way))


def head(net: Net):
    """The leaves that adapt in ANIL."""
    return (net.weight, net.bias)


def initial_moments() -> tuple[Moments, ...]:
    """The statistics a stateful network starts from."""
    return tuple(Moments(jnp.zeros(c), jnp.ones(c)) for c in CHANNELS)


Normaliser = Callable[[jax.Array, int], Moments]
"""The moments to normalise the input ``(n, pixels, channels)`` of the given layer by."""


def of_batch(x, layer: int) -> Moments:
    """Every channel's moments over the images at hand."""
    return Moments(x.mean((0, 1)), x.var((0, 1)))


def of_image(x, layer: int) -> Moments:
    """Every image's own moments, over all channels: they do not know what classes there are."""
    return Moments(x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True))


def kept(moments: tuple[Moments, ...]) -> Normaliser:
    """Moments known before: one row of a stateful network's."""
    return lambda x, layer: moments[layer]


def features(net: Net, images, normaliser: Normaliser = of_batch):
    """Return ``(n, 48)`` features and the batch's moments."""
    x, seen = images.reshape(len(images), -1, 1), []
    for layer, block in enumerate(net.body):
        x = patches(x) @ block.kernel
        seen.append(of_batch(x, layer))
        mean, variance = normaliser(x, layer)
        x = (x - mean) * jax.lax.rsqrt(variance + EPSILON) * block.scale + block.shift
        x = jax.nn.relu(x)
    return x.mean(1), tuple(seen)


def patches(x):
    """``(n, side², c)`` → ``(n, ⌈side/2⌉², 9c)``: 3×3 neighbourhoods at stride 2, zeros outside."""
    n, pixels, channels = x.shape
    taken = jnp.einsum("qp,npc->nqc", jnp.asarray(taps(math.isqrt(pixels)), x.dtype), x)
    return taken.reshape(n, -1, 9 * channels)


@functools.cache
def taps(side: int) -> np.ndarray:
    """Return the 0/1 matrix that copies pixels into neighbourhoods.

    One product, where slices and their derivatives would make a program that compiles for minutes.
    """
    padded = np.pad(np.eye(side**2).reshape(side, side, -1), ((1, 1), (1, 1), (0, 0)))
    rows = [
        padded[i + a, j + b]
        for i in range(0, side, 2)
        for j in range(0, side, 2)
        for a in range(3)
        for b in range(3)
    ]
    return np.stack(rows)


def logits(net: Net, images, normaliser: Normaliser = of_batch):
    """Return ``(n, way)`` scores."""
    return features(net, images, normaliser)[0] @ net.weight + net.bias


def cross_entropy(scores, labels):
    """Return the mean cross-entropy; labels are integers."""
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def transductive(net: Net, data):
    """A plain loss: every evaluation normalises by its own batch."""
    images, labels = data
    return cross_entropy(logits(net, images), labels)


def running(net: Net, moments, data):
    """A stateful loss: normalise by the running moments of this inner step, and update them.

    No image's prediction depends on the images beside it.
    """
    images, labels = data
    x, batch = features(net, images, kept(moments))
    blend = lambda old, new: (1 - MOMENTUM) * old + MOMENTUM * new  # noqa: E731
    return cross_entropy(x @ net.weight + net.bias, labels), jax.tree.map(blend, moments, batch)


def stateful() -> meta.Stateful:
    """The loss with per-step running statistics."""
    return meta.Stateful(running, initial_moments())


def one_hot(normaliser: Normaliser) -> meta.SumOfSquares:
    """The loss of regression to one-hot labels, whose best head is known in closed form."""

    def residuals(net: Net, data):
        images, labels = data
        return logits(net, images, normaliser) - jax.nn.one_hot(labels, net.bias.size)

    return meta.SumOfSquares(residuals)


def shot_error(net: Net, data, moments):
    """Return 1 for each shot misclassified, else 0; moments are those of a stateful loss."""
    return _wrong(net, data, of_batch if moments is None else kept(moments))


def shot_error_by_image(net: Net, data, moments):
    """Return the same for a network that is normalised by image."""
    return _wrong(net, data, of_image)


def _wrong(net: Net, data, normaliser: Normaliser):
    images, labels = data
    return (logits(net, images, normaliser).argmax(1) != labels).astype(jnp.float32)


def misclassified(net: Net, data, moments):
    """Return the share of shots misclassified."""
    return shot_error(net, data, moments).mean()


def misclassified_by_image(net: Net, data, moments):
    """Return the same for a network that is normalised by image."""
    return shot_error_by_image(net, data, moments).mean()
