"""Models of PyTorch adapted where they live, beside the same weights in JAX: the same adaptation?

    make                                     # an environment with both, then this
    python run.py [--models so3lr mace] [--labels 20]

Labels of the DFT study (``../fewshot/level``). One prior is tried, one variance for all parameters,
as that does not depend on how either side names its leaves. Writes ``results.md``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sides

from kshot.atoms import Labelled
from kshot.atoms.files import read_labelled
from kshot.core.cache import use_compile_cache
from kshot.fewshot.adapt import Adapted, adapt
from kshot.potentials.model import Model

HERE = Path(__file__).parent
METHODS = ("uniform",)
SIDES: dict[str, Callable[[], sides.Pair]] = {"so3lr": sides.so3lr, "mace": sides.mace}


class Measured(NamedTuple):
    """One model, adapted on either side.

    Args:
        adapted: what came of it.
        start: forces on the test frames before, in eV/Å.
        forces: after.
        energies: after, in eV.
        seconds: that adaptation took.
    """

    adapted: Adapted
    start: np.ndarray
    forces: np.ndarray
    energies: np.ndarray
    seconds: float


def main() -> None:
    """Adapt on both sides, and write what differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="*", choices=SIDES, default=tuple(SIDES))
    parser.add_argument("--labels", type=int, default=20)
    options = parser.parse_args()
    use_compile_cache()
    frames = list(read_labelled(sides.FRAMES))
    shots, test = frames[: options.labels], frames[-15:]
    lines = [HEAD.format(labels=options.labels), line(COLUMNS), "|---" * len(COLUMNS) + "|\n"]
    for name in options.models:
        pair = SIDES[name]()
        jax, torch = (measured(model, shots, test) for model in (pair.jax, pair.torch))
        lines.append(row(name, pair, jax, torch, test))
        print(lines[-1], end="", flush=True)
    (HERE / "results.md").write_text("".join(lines))


def measured(start: Model, shots: list[Labelled], test: list[Labelled]) -> Measured:
    """Return what one side makes of the labels."""
    begun = time.perf_counter()
    adapted = adapt(start, shots, methods=METHODS)
    seconds = time.perf_counter() - begun
    structures = [frame.structure for frame in test]
    before, after = start.predict(structures), adapted.model.predict(structures)
    return Measured(
        adapted,
        np.concatenate([labels.forces for labels in before]),
        np.concatenate([labels.forces for labels in after]),
        np.array([labels.energy for labels in after]),
        seconds,
    )


HEAD = """# Adapted in PyTorch, and in JAX

Made by `make -C benchmarks/bridge`; not to be edited. Uracil at ωB97X-D3(BJ)/def2-SVP, {labels}
labels, 15 test frames. RMS over the test frames: of what differs between the two sides, of what
adaptation has moved, and of errors. Pairs are JAX; PyTorch.

"""
COLUMNS = (
    "model",
    "parameters",
    "starts differ, meV/Å",
    "moved by, meV/Å",
    "adapted differ, meV/Å",
    "of what moved",
    "energies differ, meV",
    "errors, meV/Å",
    "scale, steps",
    "seconds",
)


def row(name: str, pair: sides.Pair, jax: Measured, torch: Measured, test: list[Labelled]) -> str:
    """Return a line of the table."""
    moved = rms(jax.forces - jax.start)
    apart = rms(jax.forces - torch.forces)
    true = np.concatenate([frame.labels.forces for frame in test])
    both = (jax, torch)
    cells = (
        name,
        f"{sum(np.size(leaf) for leaf in pair.torch.params.values()):,}",
        f"{1e3 * rms(jax.start - torch.start):.2g}",
        f"{1e3 * moved:.0f}",
        f"{1e3 * apart:.2g}",
        f"{apart / moved:.1e}",
        f"{1e3 * rms(jax.energies - torch.energies):.2g}",
        "; ".join(f"{1e3 * rms(each.forces - true):.1f}" for each in both),
        "; ".join(f"{each.adapted.chosen.factor:g}, {each.adapted.chosen.steps}" for each in both),
        "; ".join(f"{each.seconds:.0f}" for each in both),
    )
    return line(cells)


def line(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |\n"


def rms(values: np.ndarray) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


if __name__ == "__main__":
    main()
