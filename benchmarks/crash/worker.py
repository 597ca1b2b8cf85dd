"""One training run, to be killed; it spends most of its time writing checkpoints."""

import argparse
import hashlib
import sys
from pathlib import Path

import jax
import numpy as np
import optax

from kshot import meta
from kshot.meta import problems
from kshot.meta.train import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--checkpoint-every", type=int, default=10)
    args = parser.parse_args()

    algorithm = meta.maml(problems.squared_error, steps=1, outer=optax.adam(1e-3))
    start = algorithm.init(problems.mlp(jax.random.key(0), (1, 20, 1)))
    done = train(
        algorithm,
        start,
        lambda key: problems.sinusoids(key, tasks=8, shots=5, query=5),
        args.steps,
        metrics=args.directory / "metrics.jsonl",
        checkpoints=args.directory / "checkpoints",
        checkpoint_every=args.checkpoint_every,
        log_every=7,
        progress="none",
    )
    sys.stdout.write(digest(done.state, args.directory / "metrics.jsonl") + "\n")


def digest(state: meta.State, metrics: Path) -> str:
    """The hash of every bit of the parameters and the optimiser, and of the metrics file."""
    total = hashlib.sha256(metrics.read_bytes())
    for leaf in jax.tree.leaves((state.learner, state.opt_state, state.step)):
        total.update(np.asarray(leaf).tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    main()
