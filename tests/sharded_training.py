"""One process of a sharded training, run by test_sharding.py: prints what it ended with."""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import optax

from kshot import meta
from kshot.core.seeds import named_generator
from kshot.meta import problems, sharding
from kshot.meta.train import train


def sample(rng: np.random.Generator) -> meta.Task:
    phase, x = rng.uniform(0, np.pi, (8, 1, 1)), rng.uniform(-5, 5, (8, 10, 1))
    x, y = x.astype("f4"), np.sin(x + phase).astype("f4")
    return meta.Task((x[:, :5], y[:, :5]), (x[:, 5:], y[:, 5:]))


def main() -> None:
    coordinator, directory, *rank = sys.argv[1:]
    if rank:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(coordinator, num_processes=2, process_id=int(rank[0]))
    algorithm = meta.maml(problems.squared_error, steps=2, outer=optax.adam(1e-2))
    state = algorithm.init(problems.mlp(jax.random.key(0), (1, 8, 1)))
    folder = Path(directory)
    done = [
        train(
            algorithm,
            state,
            meta.HostTasks(sample),
            steps,
            checkpoints=folder / "checkpoints",
            metrics=folder / "metrics.jsonl",
            validation=sample(named_generator(5, "new")),
            checkpoint_every=4,
            log_every=4,
            progress="none",
        )
        for steps in (6, 12)  # the second call resumes
    ][-1]
    mesh = sharding.mesh_for(8)
    step = jax.jit(algorithm.step)
    tasks = sample(named_generator(0, "tasks"))
    if mesh is not None:
        state, tasks = sharding.replicate(state, mesh), sharding.shard_tasks(tasks, mesh)
    info = step(state, tasks)[1]
    told = {
        "devices": 1 if mesh is None else mesh.size,
        "params": np.concatenate(
            [np.ravel(x) for x in jax.tree.leaves(done.state.params)]
        ).tolist(),
        "gradient": float(info.grad_norm),
        "gap": done.history.gaps[12].gap,
        "all_reduce": "all-reduce" in step.lower(state, tasks).compile().as_text(),
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
