"""The other end of `path_integral`: runs i-PI in a process of its own.

i-PI keeps state per process (signal handlers, threads, a current folder), so it gets one. The file
is run as a script, ``python ipi_child.py JOB PIPE``, and loaded by i-PI once more as its driver of
forces, which asks the parent for labels over an inherited pipe.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

__DRIVER_NAME__ = "kshot"
__DRIVER_CLASS__ = "Driver"
TO_BOHR = 1 / 0.529177210903
TO_HARTREE = 1 / 27.211386245988


@dataclass(frozen=True)
class Job:
    """What i-PI is to do; Å, u, fs and K.

    Args:
        numbers: atomic numbers.
        positions: in Å, three to an atom.
        masses: in u.
        beads: of the ring polymer.
        temperature: in K.
        seed: of i-PI's random numbers.
        step: in fs.
        friction_time: of the thermostat, in fs.
        skip: steps before the first frame.
        stride: steps between frames.
        frames: how many frames to hand over.
    """

    numbers: list[int]
    positions: list[list[float]]
    masses: list[float]
    beads: int
    temperature: float
    seed: int
    step: float
    friction_time: float
    skip: int
    stride: int
    frames: int

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))


def xml(job: Job, pipe: int) -> str:
    """Return i-PI's input."""
    from ase import Atoms
    from ipi.scripting import simulation_xml

    atoms = Atoms(job.numbers, job.positions, cell=np.eye(3) * 1000.0)
    atoms.set_array("mass", np.array(job.masses))
    force = f"""<ffdirect name='kshot'><pes>custom</pes><pes_path>{Path(__file__)}</pes_path>
        <parameters>{{pipe: {pipe}}}</parameters></ffdirect>"""
    random = f"<prng><seed>{job.seed}</seed></prng>"
    motion = f"""<motion mode='dynamics'><fixcom>False</fixcom>
        <dynamics mode='nvt' splitting='baoab'>
        <timestep units='femtosecond'>{job.step}</timestep>
        <thermostat mode='pile_l'><tau units='femtosecond'>{job.friction_time}</tau></thermostat>
        </dynamics></motion>"""
    ring = [atoms] * job.beads
    output = "<output prefix='ipi'></output>"
    text = simulation_xml(ring, force, motion, job.temperature, output, safe_stride=10**9)
    return text.replace("<system>", random + "<system>", 1)


class Driver:
    """i-PI's driver of forces: asks the parent, in Å and eV."""

    line: Connection

    def __init__(self, pipe: int, **ignored: object) -> None:
        """Take the pipe by its number."""
        del ignored
        Driver.line = Connection(int(pipe))

    def __call__(
        self, cell: np.ndarray, pos: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray, str]:
        """Return energy, forces and virial in atomic units."""
        self.line.send(("label", pos / TO_BOHR))
        energy, forces = self.line.recv()
        return energy * TO_HARTREE, forces * TO_HARTREE / TO_BOHR, np.zeros_like(cell), ""


def main(path: Path, pipe: int) -> None:
    """Run the job of a file, hand over ring polymers, and say when it has ended."""
    from ipi.scripting import InteractiveSimulation
    from ipi.utils.depend import dstrip

    job = Job(**json.loads(path.read_text()))
    simulation = InteractiveSimulation(xml(job, pipe))
    line = sys.modules[Path(__file__).stem].Driver.line  # i-PI loaded this file by its own way
    for frame in range(job.frames):
        simulation.run(job.stride + (job.skip if frame == 0 else 0), write_outputs=False)
        q = np.array(dstrip(simulation.syslist[0].beads.q)) / TO_BOHR
        line.send(("ring", q.reshape(job.beads, -1, 3)))
    line.send(("end", None))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
