"""kshot's Allegro in its three sizes: parameters, compile time, time per evaluation; one thread."""

import json
import os
import sys
import time
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"

import jax
import jax.numpy as jnp
import numpy as np
from ase.neighborlist import neighbor_list
from cases import ELEMENTS
from kshot_side import graph
from mlip.data.dataset_info import DatasetInfo
from speed import AVERAGE_NEIGHBOURS, CUTOFF, cpu_milliseconds, molecule

from kshot.potentials.allegro import Allegro, AllegroConfig
from kshot.potentials.architectures import ALLEGRO


def measure(config: AllegroConfig) -> dict:
    atoms = molecule()
    centre, neighbour, shifts = neighbor_list("ijS", atoms, CUTOFF)
    padded = graph(
        {
            "positions": atoms.positions.astype(np.float32),
            "numbers": atoms.numbers,
            "cell": np.zeros((3, 3), np.float32),
            "centre": centre,
            "neighbour": neighbour,
            "shifts": shifts.astype(np.float32),
        }
    )
    info = DatasetInfo(
        atomic_energies_map=dict.fromkeys(ELEMENTS.values(), 0.0),
        graph_cutoff_angstrom=CUTOFF,
        avg_num_neighbors=AVERAGE_NEIGHBOURS,
    )
    net = Allegro(config, info)
    params = jax.jit(net.init)(jax.random.key(0), padded)

    def energy(params, positions):
        out = net.apply(params, padded.replace_nodes(positions=positions))
        return jnp.sum(out.nodes.features["energy"])

    def loss(params, positions):
        value, gradient = jax.value_and_grad(energy, 1)(params, positions)
        return value**2 + jnp.sum(gradient**2)

    found = {"parameters": sum(leaf.size for leaf in jax.tree.leaves(params))}
    given = (params, jnp.asarray(padded.nodes.positions))
    calls = {"forces": jax.value_and_grad(energy, 1), "training": jax.value_and_grad(loss)}
    for name, call in calls.items():
        start = time.process_time()
        program = jax.jit(call).lower(*given).compile()
        found[f"{name}_compile_s"] = round(time.process_time() - start, 1)
        found[f"{name}_ms"] = cpu_milliseconds(
            lambda program=program: jax.block_until_ready(program(*given))
        )
    return found


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = {}
    for name, fields in ALLEGRO.sizes.items():
        config = AllegroConfig(**fields)
        rows[name] = {"kshot": measure(config), "config": config.model_dump(mode="json")}
        print(name, rows[name]["kshot"], flush=True)
    (folder / "speed.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
