"""Labels at another level of theory for three held-out families; run again, it goes on.

    python benchmarks/fewshot/level.py [--families side-chain-his …]
    kshot eval benchmarks/fewshot/level.yaml        # error against K, from the GFN2 start

The configurations are those of the held-out study, so that nothing but the labels differs: shots
from one trajectory, test frames from another. A label takes about a minute of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
CONFIG = HERE / "bio-small.yaml"
ENGINE = "pyscf:wb97x-d3bj/def2-svp"
FAMILIES = ("side-chain-his", "uracil", "side-chain-tyr")  # small: no sulfur, 12 to 16 atoms
SHOTS, TEST = 20, 15


def main() -> None:
    """Label what has no label yet; one file for each family that is complete."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="*", default=FAMILIES)
    options = parser.parse_args()

    from kshot.atoms.files import write
    from kshot.pipeline.config import load_config
    from kshot.pipeline.draws import label_frames
    from kshot.pipeline.study import held_out_frames, support_and_test

    config = load_config(CONFIG)
    frames = held_out_frames(config)
    for name in options.families:
        pool, test = support_and_test(frames[name], TEST)
        wanted = [one.structure for one in (*_spread(pool, SHOTS), *test)]
        labelled, failed = label_frames(
            wanted, ENGINE, config.data.folder / "labels.ledger", workers=1
        )
        path = HERE / "level" / f"{name}.extxyz"
        path.parent.mkdir(exist_ok=True)
        write(path, labelled)
        print(f"{path}: {len(labelled)} frames, {failed} failed", flush=True)


def _spread(some: Sequence, count: int) -> list:
    """Return so many of them, evenly spread."""
    return [some[i] for i in np.linspace(0, len(some) - 1, count).astype(int)]


if __name__ == "__main__":
    main()
