"""Fine-tuning by ``mace_run_train``, as the users of mace-torch do, from kshot's own parameters.

The start is written back as a mace-torch model, fine-tuned on the shots (a fifth of them aside, to
stop early by), and imported again; so all contestants are judged by one program.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from gradient import DRAWS, SHOTS, shifted

from kshot.atoms import Labelled, Structure
from kshot.atoms.files import write
from kshot.fewshot.finetune import (
    ENERGY_WEIGHT,
    FORCES_WEIGHT,
    LOOK_EVERY,
    MOST_STEPS,
    PACK,
    PATIENCE,
    WATCHED,
)
from kshot.pipeline.study import ALLOW, Draw, Job, Row, tested
from kshot.potentials.mace_torch import convert, read_export
from kshot.potentials.model import Model
from mace_torch.write_back import written_back

HERE = Path(__file__).parent
METHOD = "mace-torch, fine-tuned"
RATES = (0.001, 0.003, 0.01)
EXACT = 1e-4  # eV/Å, and eV an atom: what may be left between the start and what is written back


def mace_torch(start: Model, python: Path) -> Job:
    """Return fine-tuning by mace-torch as a job of a study.

    Args:
        start: what is fine-tuned.
        python: of an environment that has mace-torch.
    """

    def run(start: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
        rows = []
        for k in shots:
            model, rate = fine_tuned(python, start, draw.shots[:k])
            rows += tested(model, draw, METHOD, k, rate=rate)
        return rows

    sources = (Path(__file__), HERE / "torch_side.py", HERE / "write_back.py")
    return Job("mace-torch", start, run, shots=SHOTS, draws=DRAWS, sources=sources)


def fine_tuned(python: Path, start: Model, shots: Sequence[Labelled]) -> tuple[Model, float]:
    """Return the start after fine-tuning by mace-torch, and the rate of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shift = shifted(start, start.params, shots)
        as_mace_torch(python, shift, [one.structure for one in shots], folder)
        aside = max(2, len(shots) // WATCHED)
        write(folder / "valid.extxyz", shots[:aside])
        write(folder / "train.extxyz", shots[aside:])
        tried = [trained(python, folder, rate, len(shots) - aside) for rate in RATES]
        best = min(range(len(RATES)), key=lambda i: tried[i][0])
        found = imported(python, tried[best][1], folder / "tuned.npz", start)
        return shifted(found, found.params, shots), RATES[best]


def as_mace_torch(python: Path, start: Model, some: Sequence[Structure], folder: Path) -> None:
    """Write ``start.model``, and check on some structures that it is the start."""
    potential: Any = start.potential
    sizes = json.loads(potential.config) | {
        "cutoff": potential.cutoff,
        "neighbours": potential.neighbours,
        "elements": list(potential.elements),
        "e0s": [start.e0s[z] for z in potential.elements],
    }
    (folder / "sizes.json").write_text(json.dumps(sizes))
    side(python, "blank", folder / "sizes.json", folder / "blank.model", folder / "blank.npz")
    state = written_back(start.params, read_export(folder / "blank.npz"))
    np.savez(folder / "state.npz", allow_pickle=False, **state)
    side(python, "fill", folder / "blank.model", folder / "state.npz", folder / "start.model")
    back = imported(python, folder / "start.model", folder / "start.npz", start)
    for ours, theirs in zip(
        back.predict(some, allow=ALLOW), start.predict(some, allow=ALLOW), strict=True
    ):
        np.testing.assert_allclose(ours.forces, theirs.forces, atol=EXACT)
        np.testing.assert_allclose(ours.energy, theirs.energy, atol=EXACT * len(ours.forces))


def trained(python: Path, folder: Path, rate: float, count: int) -> tuple[float, Path]:
    """Return the least validation loss of a fine-tuning, and the model it ends with."""
    epochs = MOST_STEPS // -(-count // PACK)
    every = max(1, LOOK_EVERY * epochs // MOST_STEPS)
    name = f"rate-{rate:g}"
    options: dict[str, Any] = {
        "name": name,
        "work_dir": folder,
        "foundation_model": folder / "start.model",
        "foundation_model_elements": True,
        "multiheads_finetuning": False,
        "E0s": "foundation",
        "train_file": folder / "train.extxyz",
        "valid_file": folder / "valid.extxyz",
        "energy_weight": ENERGY_WEIGHT,
        "forces_weight": FORCES_WEIGHT,
        "lr": rate,
        "ema_decay": 0.99,
        "batch_size": min(PACK, count),
        "max_num_epochs": epochs,
        "eval_interval": every,
        "patience": PATIENCE * epochs // MOST_STEPS // every,
        "scheduler_patience": 50,
        "default_dtype": "float32",
        "device": "cpu",
        "seed": 0,
        "plot": False,
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    call([str(python.parent / "mace_run_train"), *words, "--ema"], folder / f"{name}.log")
    (log,) = (folder / "results").glob(f"{name}_run-*_train.txt")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return min(one["loss"] for one in lines if one["mode"] == "eval"), folder / f"{name}.model"


def imported(python: Path, file: Path, npz: Path, start: Model) -> Model:
    """Return a mace-torch model of the start's potential."""
    side(python, "arrays", file, npz)
    found = convert(read_export(npz))
    params = jax.tree.map(lambda leaf: np.asarray(leaf, start.dtype), found.params)
    return start.with_(params=params, e0s=found.e0s)


def side(python: Path, *words: str | Path) -> None:
    """Run the other side."""
    call([str(python), "-W", "ignore", str(HERE / "torch_side.py"), *map(str, words)], None)


def call(words: Sequence[str], log: Path | None) -> None:
    """Run a program whose pickles are its own."""
    done = subprocess.run(
        words,
        check=False,
        env=os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if log is not None:
        log.write_text(done.stdout)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:])
