"""kshot's Allegro with the weights of nequip-allegro, compared; runs in kshot's environment."""

import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from cases import CASES, CUTOFF, ELEMENTS, config
from mapping import mapped
from mlip.data.dataset_info import DatasetInfo
from mlip.graph import Graph
from mlip.graph.batching_helpers import pad_with_graphs
from mlip.graph.graph import GraphEdges, GraphGlobals, GraphNodes

from kshot.potentials.allegro import Allegro, AllegroConfig

HERE = Path(__file__).parent
REFERENCE = HERE.parents[2] / "tests" / "data" / "allegro_reference.json"


def graph(found: dict) -> Graph:
    """The structure as mlip's graph, with one padding graph of one atom."""
    edges, atoms = len(found["centre"]), len(found["numbers"])
    real = Graph(
        nodes=GraphNodes(positions=found["positions"], atomic_numbers=found["numbers"]),
        edges=GraphEdges(shifts=found["shifts"].astype(float)),
        globals=GraphGlobals(cell=found["cell"][None], weight=np.ones(1)),
        n_node=np.array([atoms]),
        n_edge=np.array([edges]),
        senders=found["centre"],
        receivers=found["neighbour"],
    )
    return jax.tree.map(jnp.asarray, pad_with_graphs(real, atoms + 1, edges + 3, 2))


def network(case: str) -> Allegro:
    info = DatasetInfo(
        atomic_energies_map=dict.fromkeys(ELEMENTS.values(), 0.0), graph_cutoff_angstrom=CUTOFF
    )
    return Allegro(AllegroConfig(**config(case)), info)


def tree(leaves: dict[str, np.ndarray]) -> dict:
    nested: dict = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = jnp.asarray(leaf)
    return {"params": nested}


def evaluate(case: str, found: dict, params: dict) -> tuple[np.ndarray, np.ndarray]:
    net, padded = network(case), graph(found)

    def energy(positions):
        energies = net.apply(params, padded.replace_nodes(positions=positions))
        energies = energies.nodes.features["energy"]
        return jnp.sum(energies), energies

    gradient, energies = jax.jit(jax.grad(energy, has_aux=True))(
        jnp.asarray(padded.nodes.positions)
    )
    number = len(found["numbers"])
    return np.asarray(energies)[:number], -np.asarray(gradient)[:number]


def compare(case: str, found: dict) -> dict:
    weights = {k[7:]: v for k, v in found.items() if k.startswith("weight:")}
    leaves = mapped(weights, config(case))
    params = tree(leaves)
    shapes = jax.eval_shape(network(case).init, jax.random.key(0), graph(found))
    ours = {
        jax.tree_util.keystr(k): v.shape for k, v in jax.tree_util.tree_leaves_with_path(shapes)
    }
    given = {
        jax.tree_util.keystr(k): v.shape for k, v in jax.tree_util.tree_leaves_with_path(params)
    }
    assert ours == given, f"{case}: kshot has {ours}, the weights make {given}"
    energies, forces = evaluate(case, found, params)
    theirs = found["forces"]
    if case == "reference":
        store(found, leaves)
    return {
        "case": case,
        "parameters": sum(leaf.size for leaf in leaves.values()),
        "atoms": len(energies),
        "edges": len(found["centre"]),
        "energy_eV": float(found["energy"][0]),
        "energy_relative_error": float(abs(energies.sum() / found["energy"][0] - 1)),
        "atom_energies_relative_error": relative(energies, found["atom_energies"]),
        "largest_force_eV_per_A": float(np.abs(theirs).max()),
        "forces_relative_error": relative(forces, theirs),
    }


def relative(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference over the largest value."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def store(found: dict, leaves: dict[str, np.ndarray]) -> None:
    """Keep a tiny model with its weights, for the test that needs no torch."""
    keys = ["positions", "numbers", "centre", "neighbour", "atom_energies", "forces"]
    record = {
        "about": "nequip-allegro, float64; made by benchmarks/potentials/allegro_parity",
        "elements": list(ELEMENTS.values()),
        "cutoff": CUTOFF,
        "config": config("reference"),
        **{key: found[key].tolist() for key in keys},
        "weights": {path: leaf.tolist() for path, leaf in leaves.items()},
    }
    REFERENCE.write_text(json.dumps(record, separators=(",", ":")) + "\n")


def main(folder: Path) -> None:
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    found = {}
    for path in folder.glob("*.npz"):
        arrays = dict(np.load(path))
        found[str(arrays["case"])] = arrays
    rows = []
    for case in CASES:
        rows.append(compare(case, found[case]))
        row = rows[-1]
        print(
            f"{case:30} energy {row['energy_relative_error']:.1e} "
            f"atoms {row['atom_energies_relative_error']:.1e} "
            f"forces {row['forces_relative_error']:.1e}",
            flush=True,
        )
    (HERE / "results" / "parity.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
