"""Labels at another level of theory for three held-out families; run again, it goes on.

    python benchmarks/fewshot/level.py [--families side-chain-his …]
    kshot eval benchmarks/fewshot/level.yaml        # error against K, from the GFN2 start

Twenty shots of one trajectory, which make two draws of ten that share no label, and test frames of
another. GFN2 itself, with a shift from the same shots, competes. A label takes about a minute of
one core. These families have been tuned on: they show what another level costs, and no more.
"""

from __future__ import annotations

import argparse
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
    from kshot.pipeline.study import pool_of
    from kshot.pipeline.study.run import held_out_frames

    config = load_config(CONFIG)
    frames = held_out_frames(config)
    for name in options.families:
        pool = pool_of(name, frames[name], TEST)
        places = np.linspace(0, len(pool.shots) - 1, SHOTS).astype(int)
        shots = [pool.shots[place] for place in places]
        structures = [frame.structure for frame in (*shots, *pool.tests["test"])]
        labelled, failed = label_frames(
            structures, ENGINE, config.data.folder / "labels.ledger", workers=1
        )
        path = HERE / "level" / f"{name}.extxyz"
        path.parent.mkdir(exist_ok=True)
        write(path, labelled)
        print(f"{path}: {len(labelled)} frames, {failed} failed", flush=True)


if __name__ == "__main__":
    main()
