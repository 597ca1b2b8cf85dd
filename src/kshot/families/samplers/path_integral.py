"""Path-integral molecular dynamics through i-PI: quantum nuclei without the harmonic picture."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Failure, Labeler, Structure
from kshot.core.bars import bar
from kshot.core.errors import InputError
from kshot.core.registry import missing_extra
from kshot.families.samplers import ipi_child
from kshot.families.samplers.accept import APART, Accept, Sieve
from kshot.families.samplers.base import (
    NoLabelError,
    Recorder,
    Sampler,
    Surface,
    check_request,
    failures_are_values,
    need_engine,
)
from kshot.families.samplers.isotopes import masses_of

PATIENCE = 2  # candidates per frame wanted


@failures_are_values
def path_integral(
    structure: Structure,
    labeler: Labeler | None,
    n: int,
    *,
    temperature: float,
    seed: int,
    beads: int = 32,
    step: float = 0.5,
    friction_time: float = 50.0,
    warm_up: float = 200.0,
    spacing: float = 25.0,
    accept: Accept = APART,
    show: bool = False,
) -> list[Structure] | Failure:
    """Run i-PI with the engine's forces, and keep one bead of the ring polymer now and then.

    Costs ``beads · (warm_up + 2 n · spacing) / step`` labels at most. i-PI (Litman and co-workers,
    J. Chem. Phys. 161, 062504, 2024) runs in a process of its own and asks this one for labels, so
    that any labeler will do. Its thermostat is PILE-L (Ceriotti and co-workers 2010), its
    integrator BAOAB.

    Args:
        structure: where to start; masses are those of its isotopes.
        labeler: the engine.
        n: how many frames.
        temperature: in K, above zero.
        seed: the same seed gives the same frames.
        beads: of the ring polymer; more than ħω/kT of the stiffest mode: 32 with hydrogen at
            300 K, more in the cold.
        step: in fs.
        friction_time: of the centroid's thermostat, in fs.
        warm_up: before the first frame, in fs.
        spacing: between candidates, in fs.
        accept: what is kept.
        show: show a bar.
    """
    check_request(structure, n, temperature, coldest=1e-3)
    engine = need_engine(labeler, "path-integral dynamics")
    _check_options(beads, step, friction_time, spacing)
    recorder = Recorder(structure, "path_integral", temperature, seed, engine)
    stride, skip = max(1, round(spacing / step)), round(warm_up / step)
    rng = recorder.stream()
    job = ipi_child.Job(
        structure.numbers.tolist(),
        structure.positions.tolist(),
        masses_of(structure).tolist(),
        beads=beads,
        temperature=temperature,
        seed=int(rng.integers(1, 2**31)),
        step=step,
        friction_time=friction_time,
        skip=skip,
        stride=stride,
        frames=PATIENCE * n,
    )
    sieve = Sieve(structure, accept)
    with bar("path-integral frames", n, show=show) as advance, _Run(job) as run:
        for count, ring in enumerate(run.rings(Surface(structure, engine)), start=1):
            bead = int(rng.integers(beads))
            centred = ring[bead] - ring.mean((0, 1)) + structure.positions.mean(0)
            time = (skip + count * stride) * step
            advance(sieve.offer(recorder.frame(centred, 0, time, bead=bead, beads=beads)))
            if len(sieve.frames) == n:
                break
    return sieve.result(n)


class _Run:
    """i-PI's process, and the line over which it asks for labels and hands over ring polymers."""

    def __init__(self, job: ipi_child.Job) -> None:
        self._job = job

    def __enter__(self) -> _Run:
        self._folder = tempfile.TemporaryDirectory(prefix="kshot-ipi-")
        self._log = tempfile.TemporaryFile("w+")
        self._line, theirs = Pipe()
        job = Path(self._folder.name) / "job.json"
        job.write_text(self._job.to_json())
        command = [sys.executable, str(Path(ipi_child.__file__)), str(job)]
        self._process = subprocess.Popen(
            [*command, str(theirs.fileno())],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()  # so that the line ends when i-PI does
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._line.close()
        self._log.close()
        self._folder.cleanup()

    def rings(self, surface: Surface) -> Iterator[Float64[np.ndarray, "beads atoms 3"]]:
        """Answer i-PI's questions, and yield the positions of all beads as they come."""
        while True:
            try:
                kind, array = self._line.recv()
            except EOFError:
                raise self._crash() from None
            if kind == "end":
                return
            if kind == "ring":
                yield array
            else:
                self._line.send(surface(array))

    def _crash(self) -> NoLabelError:
        """Return the failure with i-PI's last words."""
        self._process.wait()
        self._log.seek(0)
        words = self._log.read()
        if "No module named 'ipi'" in words:
            raise missing_extra("the sampler 'path_integral'", "ipi", "ipi")
        return NoLabelError(Failure("crash", f"i-PI stopped: {words[-500:].strip()}"))


def _check_options(beads: int, step: float, friction_time: float, spacing: float) -> None:
    if beads < 1:
        raise InputError("beads ≥ 1", str(beads), "32 is usual at 300 K with hydrogen.")
    given = {"step": step, "friction_time": friction_time, "spacing": spacing}
    for name, value in given.items():
        if not 0 < value < float("inf"):
            raise InputError(f"{name} > 0 fs", str(value), "Typical: step 0.5, spacing 25.")


def example_path_integral() -> Sampler:
    """Return the instance the contract tests run."""
    return partial(path_integral, beads=4, warm_up=5.0, spacing=10.0)
