"""Fine-tuning by ``mace_run_train``, as the users of mace-torch do, from kshot's own parameters.

The start is written back as a mace-torch model, fine-tuned on the shots (a fifth of them aside, to
stop early by), and imported again; so all contestants are judged by one program.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from gradient import DRAWS, SHOTS, forgotten, shifted

from kshot.atoms import Labelled, Structure
from kshot.atoms.files import write
from kshot.fewshot.adapters.finetune import RECIPE
from kshot.fewshot.descent import BATCH, LOOK_EVERY, aside
from kshot.pipeline.study import ALLOW, Draw, Job, Row, tested
from kshot.potentials.mace_torch import convert, read_export
from kshot.potentials.model import Model
from mace_torch.write_back import written_back

HERE = Path(__file__).parent
METHOD = "mace-torch, fine-tuned"
RATE = 1e-3  # where the search begins
FACTOR = 10**0.5  # of two neighbouring rates
PATIENCE = 2000  # steps without a gain that end a run; mace-torch's does not grow
GUARD = 100_000  # steps: a run that comes so far says so
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
            model, record = fine_tuned(python, start, draw.shots[:k])
            rows += tested(model, draw, METHOD, k, **record, drift=forgotten(start, model))
        return rows

    sources = (Path(__file__), HERE / "torch_side.py", HERE / "write_back.py")
    return Job("mace-torch", start, run, shots=SHOTS, draws=DRAWS, sources=sources)


class Trained(NamedTuple):
    """What a run of mace-torch came to.

    Args:
        loss: the least of the frames set aside.
        best: the step it is of.
        steps: after which the run ended.
        stopped: why; ``"guard"`` is no convergence.
        model: its file.
    """

    loss: float
    best: int
    steps: int
    stopped: str
    model: Path


def fine_tuned(
    python: Path, start: Model, shots: Sequence[Labelled]
) -> tuple[Model, dict[str, Any]]:
    """Return the start after fine-tuning by mace-torch, and how that went in plain JSON values.

    Rates are tried until both neighbours of what does best on the frames set aside are worse.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shift = shifted(start, shots)
        as_mace_torch(python, shift, [frame.structure for frame in shots], folder)
        watched, rest = aside(len(shots))
        write(folder / "valid.extxyz", [shots[i] for i in watched])
        write(folder / "train.extxyz", [shots[i] for i in rest])
        tried: dict[int, Trained] = {}
        best = 0
        while True:
            for place in (best, best - 1, best + 1):
                if place not in tried:
                    tried[place] = trained(python, folder, RATE * FACTOR**place, len(rest))
            least = min(tried, key=lambda place: tried[place].loss)
            if least == best:
                break
            best = least
        run = tried[best]
        model = imported(python, run.model, folder / "tuned.npz", start)
        record = {
            "rate": RATE * FACTOR**best,
            "best": run.best,
            "steps": run.steps,
            "stopped": run.stopped,
            "rates_tried": [RATE * FACTOR**place for place in sorted(tried)],
            "seconds": round(time.perf_counter() - begun, 1),
        }
        return shifted(model, shots), record


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


def trained(python: Path, folder: Path, rate: float, count: int) -> Trained:
    """Return what a fine-tuning on so many frames came to."""
    batch = min(BATCH, count)
    steps = count // batch  # of an epoch: mace-torch drops what fills no batch
    every = max(1, LOOK_EVERY // steps)
    epochs = GUARD // steps
    name = f"rate-{rate:.3g}"
    options: dict[str, Any] = {
        "name": name,
        "work_dir": folder,
        "foundation_model": folder / "start.model",
        "foundation_model_elements": True,
        "multiheads_finetuning": False,
        "E0s": "foundation",
        "train_file": folder / "train.extxyz",
        "valid_file": folder / "valid.extxyz",
        "energy_weight": RECIPE.energy_weight,
        "forces_weight": RECIPE.forces_weight,
        "lr": rate,
        "ema_decay": 0.99,
        "batch_size": batch,
        "max_num_epochs": epochs,
        "eval_interval": every,
        "patience": PATIENCE // (every * steps),
        "scheduler_patience": PATIENCE // (every * steps) // 4,
        "default_dtype": "float32",
        "device": "cpu",
        "seed": 0,
        "plot": False,
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    call([str(python.parent / "mace_run_train"), *words, "--ema"], folder / f"{name}.log")
    (log,) = (folder / "results").glob(f"{name}_run-*_train.txt")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    looks = [line for line in lines if line["mode"] == "eval" and line["epoch"] is not None]
    best = min(looks, key=lambda look: look["loss"])
    last = looks[-1]["epoch"] + 1
    stopped = "guard" if last > epochs - every else "patience"
    model = folder / f"{name}.model"
    return Trained(best["loss"], (best["epoch"] + 1) * steps, last * steps, stopped, model)


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
