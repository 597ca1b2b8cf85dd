"""Seconds and memory of adaptation against parameters, labels and atoms; derivatives held or not.

    python benchmarks/adapting/run.py                      # the whole table, an hour of two cores
    python benchmarks/adapting/run.py --parameters small --labels 10 --atoms 12

MACE networks of random weights; labels are those of the same network with weights moved by a
hundredth, so that there is something to learn. Each measurement is a process of its own, and is run
twice: cold compiles, warm is what a user waits for. Writes ``results.json`` and ``results.md``; a
measurement that is there is not repeated. What fits is held, also where it need not be.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
FRAMES = HERE.parent / "fewshot" / "frames" / "development"
MOLECULES = {12: ("uracil", 1), 23: ("dipeptide-ser", 1), 46: ("dipeptide-ser", 2)}
"""By the number of atoms: family, and how many of it stand side by side."""
APART = 8.0  # Å
NETWORKS: dict[str, dict[str, Any]] = {
    "shipped": {"num_channels": 16, "l_max": 2, "node_symmetry": 1, "correlation": 2},
    "medium": {"num_channels": 48, "l_max": 2, "node_symmetry": 1, "correlation": 2},
    "MACE-OFF-small": {"num_channels": 96, "l_max": 3, "node_symmetry": 0, "correlation": 3},
    "MACE-OFF-medium": {"num_channels": 128, "l_max": 3, "node_symmetry": 1, "correlation": 3},
}
WAYS = {"held": 12.0, "computed": 0.5}  # GB of derivatives at most
LIMIT = 1800  # seconds of one measurement


class Case(NamedTuple):
    """One measurement.

    Args:
        network: a key of `NETWORKS`.
        labels: how many.
        atoms: of the molecule, a key of `MOLECULES`.
        way: a key of `WAYS`.
    """

    network: str
    labels: int
    atoms: int
    way: str


def main() -> None:
    """Measure what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--labels", nargs="*", type=int, default=[10, 20, 50])
    parser.add_argument("--atoms", nargs="*", type=int, choices=MOLECULES, default=[12, 23])
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--case", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        print(json.dumps(measured(Case(*json.loads(options.case)))))
        return
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    for case in cases(options):
        if not any(row["case"] == list(case) for row in results):
            results.append({"case": list(case), **twice(case)})
            print(results[-1], flush=True)
            RESULTS.write_text(json.dumps(results, indent=0) + "\n")
    (HERE / "results.md").write_text(page(results))


def cases(options: argparse.Namespace) -> Iterator[Case]:
    """Yield what is asked for, the quick ones first."""
    for network in options.networks:
        for labels in options.labels:
            for atoms in options.atoms:
                for way in options.ways:
                    yield Case(network, labels, atoms, way)


def twice(case: Case) -> dict[str, Any]:
    """Return a measurement: the second run's, and the seconds of the first."""
    runs = []
    for _ in range(2):
        words = [sys.executable, __file__, "--case", json.dumps(case)]
        try:
            done = subprocess.run(words, check=True, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return {"failed": f"more than {LIMIT} s"}
        except subprocess.CalledProcessError as error:
            return {"failed": error.stderr.strip().splitlines()[-1][:200]}
        runs.append(json.loads(done.stdout.strip().splitlines()[-1]))
    return {**runs[1], "cold": runs[0]["seconds"]}


def measured(case: Case) -> dict[str, Any]:
    """Return what one adaptation takes, in this process."""
    import jax
    import numpy as np

    from kshot.atoms import Labelled, Labels
    from kshot.core.cache import use_compile_cache
    from kshot.fewshot import jacobian
    from kshot.fewshot.adapt import adapt
    from kshot.fewshot.jacobian import GB
    from kshot.potentials import potentials
    from kshot.potentials.model import Model, Seen

    use_compile_cache()
    elements = (1, 6, 7, 8)
    config = {**NETWORKS[case.network], "num_layers": 2, "readout_irreps": ["16x0e", "0e"]}
    potential = potentials.get("mace")(
        elements, size="small", cutoff=5.0, neighbours=11.0, config=config
    )
    params = jax.tree.map(np.asarray, potential.init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    other = jax.tree.map(lambda x: x * (1 + 0.01 * rng.standard_normal(x.shape, x.dtype)), params)
    start = Model(potential, params, dict.fromkeys(elements, 0.0), Seen(elements))
    structures = molecules(case.atoms)[: case.labels]
    true = start.with_(params=other).predict(structures)
    frames = [
        Labelled(structure, Labels(labels.energy, labels.forces))
        for structure, labels in zip(structures, true, strict=True)
    ]
    times: dict[str, float] = {}
    if case.way == "computed":
        jacobian.FEW = jacobian.MOST_ROWS  # computed wherever not all directions fit
    begun = time.perf_counter()
    adapted = adapt(
        start,
        frames,
        methods=("shift", "relative"),
        memory=WAYS[case.way] * GB,
        told=lambda part: times.setdefault(part, round(time.perf_counter() - begun, 1)),
    )
    bounds = jacobian.within_bounds(len(frames), params, WAYS[case.way] * GB)
    return {
        "parameters": sum(int(np.size(leaf)) for leaf in jax.tree.leaves(params)),
        "seconds": round(time.perf_counter() - begun, 1),
        "derivatives": times["derivatives"],
        "directions": min(bounds.directions, 3 * case.atoms),
        "held": bounds.memory is None,
        "peak": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        "forces": adapted.chosen.error.forces,
        "unadapted": adapted.candidates[0].error.forces,
    }


def molecules(atoms: int) -> list[Any]:
    """Return structures of so many atoms, from trajectories."""
    import numpy as np

    from kshot.atoms import Structure
    from kshot.atoms.files import read_structures

    family, copies = MOLECULES[atoms]
    frames = list(read_structures(FRAMES / f"{family}.extxyz.xz"))
    groups = [frames[place : place + copies] for place in range(len(frames) - copies + 1)]
    return [
        Structure(
            np.concatenate([frame.numbers for frame in group]),
            np.concatenate([frame.positions + APART * i for i, frame in enumerate(group)]),
        )
        for group in groups
    ]


def page(results: list[dict[str, Any]]) -> str:
    """Return the table."""
    heads = ("network", "parameters", "labels", "atoms", "derivatives", "directions")
    heads += ("seconds, warm", "of them derivatives", "cold", "peak, GB", "forces, of the start's")
    lines = [
        "# Seconds and memory of adaptation",
        "",
        "Made by `python benchmarks/adapting/run.py`; not to be edited. MACE of random weights, on",
        "two cores; `shift` and `relative` compete. Errors are left-out ones.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
    ]
    for row in sorted(results, key=lambda row: (row.get("parameters", 0), *row["case"][1:])):
        network, labels, atoms, way = row["case"]
        if "failed" in row:
            lines.append(f"| {network} | | {labels} | {atoms} | {way} | {row['failed']} |||||")
            continue
        cells = (network, f"{row['parameters']:,}", labels, atoms)
        cells += ("held" if row["held"] else "computed", row["directions"], row["seconds"])
        cells += (row["derivatives"], row["cold"], row["peak"])
        cells += (f"{row['forces'] / row['unadapted']:.2f}",)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
