"""Joint training on all families: the strong base that meta-training goes on from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from kshot import meta
from kshot.fewshot.batches import Batches
from kshot.potentials import EnergyForces, Potential
from kshot.potentials.packed import Packed, Piece, pack, size_of

LOOKS = 50  # at unseen families, which takes seconds, in a long training
WARM_UP = 0.02  # of all steps
LAST = 0.01  # of the peak rate


class Plan(NamedTuple):
    """How long and how fast.

    Args:
        steps: of the optimiser.
        rate: peak of Adam's rate; a short warm-up before it, a cosine after it.
        clip: largest norm of a gradient.
        seed: of the initialisation and of the batches.
    """

    steps: int
    rate: float
    clip: float
    seed: int


class Errors(NamedTuple):
    """Root mean square errors of many structures of one family.

    Args:
        energy: in eV, of each structure less one constant fitted to all.
        forces: in eV/Å per component.
    """

    energy: float
    forces: float


Report = meta.Report
Watch = Callable[[Report], bool | None]


def algorithm(loss: EnergyForces, plan: Plan) -> meta.Bilevel:
    """Return joint training as an algorithm of the engine."""
    warm = max(1, int(WARM_UP * plan.steps))
    rate = optax.warmup_cosine_decay_schedule(
        plan.rate * LAST, plan.rate, warm, max(plan.steps, warm + 1), plan.rate * LAST
    )
    outer = optax.chain(optax.clip_by_global_norm(plan.clip), optax.adam(rate))
    return meta.joint(loss, outer=outer)


def train_jointly(
    loss: EnergyForces,
    stream: Batches,
    plan: Plan,
    *,
    params: PyTree,
    folder: Path,
    watch: Sequence[Watch] = (),
) -> PyTree:
    """Return trained parameters; the same call goes on where a killed one ended.

    Args:
        loss: of a potential.
        stream: what each step sees.
        plan: how long and how fast.
        params: where to start.
        folder: of checkpoints and metrics.
        watch: called after each row of metrics.
    """
    recipe = algorithm(loss, plan)
    done = meta.train(
        recipe,
        recipe.init(params, key=plan.seed),
        meta.HostTasks(stream),
        plan.steps,
        seed=plan.seed,
        steps_per_call=50,
        log_every=min(max(500, plan.steps // LOOKS), plan.steps),
        checkpoint_every=min(500, plan.steps),
        metrics=folder / "joint.jsonl",
        checkpoints=folder / "joint",
        callbacks=watch,
    )
    return done.state.params


def family_errors(
    potential: Potential, params: PyTree, families: Mapping[str, Sequence[Piece]]
) -> dict[str, Errors]:
    """Return zero-shot errors of each family, all of its structures at once."""
    return {
        name: errors_of(potential, params, packed)
        for name, packed in packs(potential, families).items()
    }


def packs(potential: Potential, families: Mapping[str, Sequence[Piece]]) -> dict[str, Packed]:
    """Return each family as one pack; all of one size, so that one program serves them."""
    sizes = [size_of(pieces) for pieces in families.values()]
    size = type(sizes[0])(*(max(s[axis] for s in sizes) for axis in (0, 1)))
    places = max(len(pieces) for pieces in families.values())
    return {
        name: pack(pieces, size, places, potential.cutoff, np.float32)
        for name, pieces in families.items()
    }


def errors_of(potential: Potential, params: PyTree, packed: Packed) -> Errors:
    """Return the errors of parameters on packs, each scaffold's energies less their mean error."""
    found = _compare(potential, params, packed)
    energy = np.asarray(found.energy, np.float64)[np.asarray(found.known)]
    counts = np.asarray(found.counts)[np.asarray(found.known)]
    # one constant for each scaffold of the family.
    _, which = np.unique(counts, axis=0, return_inverse=True)
    means = np.bincount(which, energy) / np.bincount(which)
    forces = np.asarray(found.forces, np.float64)[np.asarray(found.felt)]
    rms = lambda x: float(np.sqrt(np.mean(np.square(x))))  # noqa: E731
    return Errors(rms(energy - means[which]), rms(forces))


_compare = jax.jit(
    lambda potential, params, packed: packed.compare(potential, params), static_argnums=0
)
