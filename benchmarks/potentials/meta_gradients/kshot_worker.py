"""One contestant of kshot's: ``kshot_worker.py POTENTIAL MOLECULE WAY K``; one thread, float32."""

import sys
import time
from pathlib import Path

import clock

CHANNEL = clock.answers()

import jax
import jax.numpy as jnp
import numpy as np
import sizes

from kshot import meta
from kshot.atoms import Labelled, Labels, Structure
from kshot.core import trees
from kshot.meta.learner import make_learner
from kshot.meta.loss import as_objective
from kshot.potentials import EnergyForces, frames, potentials
from kshot.potentials.mace_torch import convert, read_export

OUT = Path(__file__).parent / "out"


def potential(name: str):
    """The potential and its parameters: for MACE those that mace-torch drew."""
    if name.startswith("mace"):
        found = convert(read_export(OUT / f"{name}.npz"))
        return found.potential, jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), found.params)
    kind, size = name.split("-")
    made = potentials.get(kind)(
        sizes.ELEMENTS, size=size, cutoff=sizes.CUTOFF, neighbours=sizes.NEIGHBOURS
    )
    return made, made.init(jax.random.key(0))


def halves(molecule: str, made) -> list:
    arrays = np.load(OUT / f"{molecule}.npz")
    rows = zip(arrays["positions"], arrays["energy"], arrays["forces"], strict=True)
    labelled = [Labelled(Structure(arrays["numbers"], p), Labels(float(e), f)) for p, e, f in rows]
    half = len(labelled) // 2
    return [
        jax.tree.map(jnp.asarray, frames(part, made)) for part in (labelled[:half], labelled[half:])
    ]


def main(name: str, molecule: str, way: str, steps: int) -> None:
    made, params = potential(name)
    support, query = halves(molecule, made)
    weights = {"energy_weight": sizes.ENERGY_WEIGHT, "forces_weight": sizes.FORCES_WEIGHT}
    loss = EnergyForces(made, **weights)
    if way == "training":
        run, given = jax.value_and_grad(loss), (params, support)
    else:
        kinds = {
            "first order": meta.metagrads.first_order,
            "unrolled": meta.metagrads.unrolled,
            "mixed mode": meta.metagrads.mixed_mode,
            "auto": meta.metagrads.exact,
        }
        metagrad, objective = kinds[way](steps), as_objective(loss)
        learner = make_learner(params, meta.rules.sgd(sizes.RATE), steps)

        def run(learner, task):
            outcome, grad = metagrad(learner, objective, task)
            return outcome.loss, grad.params

        given = learner, meta.Task(support, query)
    start = time.process_time()
    program = jax.jit(run).lower(*given).compile()
    compiling = time.process_time() - start
    value, grad = program(*given)
    clock.serve(
        CHANNEL,
        lambda: jax.block_until_ready(program(*given)),
        parameters=trees.count(params),
        loss=float(value),
        norm=float(trees.norm(grad)),
        compile_cpu_s=compiling,
        compiler_mib=program.memory_analysis().temp_size_in_bytes / clock.MIB,
    )


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
