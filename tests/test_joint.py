"""Joint training: what its batches are, and that packs of one step share it evenly."""

import dataclasses

import jax
import numpy as np
import optax
import pytest

from kshot import meta
from kshot.core.seeds import named_generator
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.batches import Batches, batches
from kshot.potentials import EnergyForces
from test_adapt import labelled, start


@pytest.fixture(scope="module")
def stream() -> Batches:
    families = {name: to_pieces(start(), labelled(5, seed)) for seed, name in enumerate("abc")}
    return batches(families, 3, start().potential.cutoff, "float32")


def rng() -> np.random.Generator:
    return named_generator(0, "batches")


def test_a_batch_is_a_stack_of_packs_drawn_one_after_another(stream):
    both = dataclasses.replace(stream, packs=2)(rng())
    source = rng()
    for place in range(2):
        alone = stream(source)
        for ours, theirs in zip(*map(jax.tree.leaves, (both, alone)), strict=True):
            np.testing.assert_array_equal(ours[place], theirs[0])


def test_packs_count_evenly(stream):
    loss = EnergyForces(start().potential)
    recipe = meta.joint(loss, outer=optax.sgd(0.1))
    state = recipe.init(start().params)
    both = dataclasses.replace(stream, packs=2)(rng())
    alone = [jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], both) for i in range(2)]
    told = [float(recipe.step(state, one)[1].loss) for one in (*alone, both)]
    assert told[0] != pytest.approx(told[1], rel=0.01)
    assert told[2] == pytest.approx((told[0] + told[1]) / 2, rel=1e-5)


def test_a_batch_holds_about_what_was_asked(stream):
    source = rng()
    counts = [int(stream(source).support.known.sum()) for _ in range(20)]
    assert 2 <= np.mean(counts) <= 5
    assert max(counts) <= stream.places
