"""Milliseconds for energy and forces by kshot in float32, on one thread; compile time beside it."""

import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import numpy as np
from kshot_side import structure
from speed import cpu_milliseconds, molecules

from kshot.atoms.graph import graph, pad, room
from kshot.core.torch_file import module, read_torch
from kshot.potentials import energy_and_forces
from kshot.potentials.so3krates.convert import convert


def _wait(compiled: Callable[..., object], *arguments: object) -> None:
    jax.block_until_ready(compiled(*arguments))


def main(folder: Path, weights: Path) -> None:
    jax.config.update("jax_enable_x64", False)
    converted = convert(module(read_torch(weights)))
    potential = converted.potential
    params = jax.device_put(jax.tree.map(np.float32, converted.params))
    rows = {}
    for atoms in molecules():
        bare = graph(structure(atoms), potential.cutoff)
        padded = jax.device_put(pad(bare, room([bare]), potential.cutoff))
        start = time.process_time()
        run = jax.jit(lambda p, g: energy_and_forces(potential, p, g)).lower(params, padded)
        compiled = run.compile()
        seconds = round(time.process_time() - start, 1)
        ms = cpu_milliseconds(partial(_wait, compiled, params, padded))
        rows[atoms.info["name"]] = {
            "atoms": len(atoms),
            "edges": int(bare.edges),
            "kshot_ms": ms,
            "compile_s": seconds,
        }
        print(rows[atoms.info["name"]], flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kshot_speed.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
