"""What mace-torch does in a second, of one size, with cuEquivariance or without; see ``run.py``.

Training is mace-torch's own step (``mace.tools.train.take_step``) without clipping and averages.
Molecular dynamics is ASE's with ``MACECalculator``, and besides a bare loop on one graph that is
made once, which is what kshot does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import measuring
import numpy as np
import problem
import sizes
import torch

torch.serialization.add_safe_globals([slice])  # e3nn 0.4.4 loads its constants so, on import
SOURCES = Path(__file__).resolve().parents[2] / "src" / "kshot" / "potentials" / "mace_torch"

from e3nn import o3
from mace import data
from mace.modules import ScaleShiftMACE, interaction_classes
from mace.tools import AtomicNumberTable, torch_geometric

MIB = 2**20


def network(given: problem.Problem, size: str) -> ScaleShiftMACE:
    """Return an untrained network, in float32 and on the CPU."""
    told = sizes.fields(size)
    irreps = [(told["num_channels"], (l, (-1) ** l)) for l in range(told["node_symmetry"] + 1)]
    torch.manual_seed(0)
    return ScaleShiftMACE(
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
        r_max=given.cutoff,
        num_bessel=told["num_rbf"],
        num_polynomial_cutoff=5,
        max_ell=told["l_max"],
        interaction_cls=interaction_classes["RealAgnosticResidualInteractionBlock"],
        interaction_cls_first=interaction_classes["RealAgnosticInteractionBlock"],
        num_interactions=told["num_layers"],
        num_elements=len(given.elements),
        hidden_irreps=o3.Irreps(irreps),
        MLP_irreps=o3.Irreps(told["readout_irreps"][0]),
        atomic_energies=np.zeros(len(given.elements)),
        avg_num_neighbors=given.neighbours,
        atomic_numbers=list(given.elements),
        correlation=told["correlation"],
        gate=torch.nn.functional.silu,
        radial_MLP=told["radial_mlp_hidden"],
    )


class Side:
    """A network on its device, and what it is measured on."""

    def __init__(self, given: problem.Problem, model: torch.nn.Module, device: str, options):
        self.given, self.device, self.options = given, device, options
        self.model = model.to(device)
        self.first = {name: value.clone() for name, value in model.state_dict().items()}
        self.table = AtomicNumberTable(list(given.elements))
        self.ready: dict[int, data.AtomicData] = {}

    def wait(self) -> None:
        """Return when the device has nothing left to do."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def atomic(self, index: int) -> data.AtomicData:
        """Return a frame as mace-torch's; made once."""
        if index not in self.ready:
            frame = self.given.frames[index]
            known = {"energy": frame.energy, "forces": frame.forces}
            config = data.Configuration(
                frame.numbers, frame.positions, known, dict.fromkeys(known, 1)
            )
            self.ready[index] = data.AtomicData.from_config(config, self.table, self.given.cutoff)
        return self.ready[index]

    def batches(self, batch: int) -> list:
        """Return all batches of a size, on the device."""
        rows = [[self.atomic(int(index)) for index in row] for row in self.given.draws[batch]]
        made = [torch_geometric.batch.Batch.from_data_list(row) for row in rows]
        return [one.to(self.device) for one in made]

    def trained(self, batch: int) -> dict:
        """Return the row of a training step."""
        self.model.load_state_dict(self.first)
        self.model.train()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        batches = self.batches(batch)
        optimiser = torch.optim.Adam(
            self.model.parameters(), lr=sizes.RATE, fused=self.device == "cuda"
        )
        losses = []

        def call(done: int) -> None:
            given = batches[done % len(batches)]
            optimiser.zero_grad(set_to_none=True)
            inputs = given.to_dict()
            inputs["positions"] = inputs["positions"].detach()
            found = self.model(inputs, training=True, compute_force=True)
            value = loss(found, given)
            value.backward()
            optimiser.step()
            losses[1:] = [value.detach()]

        rates = measuring.calls_per_second(call, self.wait, self.options.seconds, len(batches))
        ends = [float(value) for value in losses]
        if not np.isfinite(ends).all():
            raise FloatingPointError(f"losses {ends}")
        row = {
            "per_second": [rate * batch for rate in rates],
            "loss": ends[0],
            "last_loss": ends[-1],
            "parameters": sum(value.numel() for value in self.model.parameters()),
            "atoms": len(batches[0].positions),
            "edges": batches[0].edge_index.shape[1],
        }
        if self.device == "cuda":
            row["memory_mib"] = torch.cuda.max_memory_allocated() / MIB
        return row

    def with_ase(self, name: str) -> dict:
        """Return the row of molecular dynamics by ASE."""
        from ase import Atoms, units
        from ase.md.verlet import VelocityVerlet
        from mace.calculators import MACECalculator

        self.frozen()
        given = self.given.molecules[name]
        atoms = Atoms(given.numbers, given.positions)
        atoms.set_masses(given.masses)
        atoms.calc = MACECalculator(
            models=[self.model], device=self.device, default_dtype="float32"
        )
        energy = float(atoms.get_potential_energy())
        motion = VelocityVerlet(atoms, sizes.TIMESTEP * units.fs)
        steps = 10

        def call(_: int) -> None:
            motion.run(steps)

        rates = measuring.calls_per_second(call, self.wait, self.options.seconds, 1)
        return {"per_second": [rate * steps for rate in rates], "energy": energy}

    def bare(self, name: str, replicas: int) -> dict:
        """Return the row of molecular dynamics on one graph of all pairs, on the device."""
        self.frozen()
        given = self.given.molecules[name]
        config = data.Configuration(given.numbers, given.positions, {}, {})
        lone = data.AtomicData.from_config(config, self.table, sizes.EVERYONE)
        batch = torch_geometric.batch.Batch.from_data_list([lone] * replicas).to(self.device)
        inputs = batch.to_dict()
        masses = torch.tensor(np.tile(given.masses, replicas)[:, None], dtype=torch.float32)
        kick = 0.5 * sizes.TIMESTEP * sizes.ACCELERATION / masses.to(self.device)
        start = inputs["positions"].detach().clone()

        def at(positions: torch.Tensor) -> dict:
            found = self.model({**inputs, "positions": positions.detach()}, compute_force=True)
            return {name: found[name].detach() for name in ("energy", "forces")}

        steps = 20
        self.moved = start

        def call(done: int) -> None:
            if done * steps % sizes.MD_STEPS == 0:
                self.moved, self.velocities = start, torch.zeros_like(start)
                self.forces = at(start)["forces"]
            for _ in range(steps):
                self.velocities = self.velocities + kick * self.forces
                self.moved = self.moved + sizes.TIMESTEP * self.velocities
                self.forces = at(self.moved)["forces"]
                self.velocities = self.velocities + kick * self.forces

        energy = float(at(start)["energy"][0])
        rates = measuring.calls_per_second(call, self.wait, self.options.seconds, 1)
        if not bool(torch.isfinite(self.moved).all()):
            raise FloatingPointError("positions are not finite")
        return {"per_second": [rate * steps * replicas for rate in rates], "energy": energy}

    def frozen(self) -> None:
        """Take the first weights, and no gradients of any."""
        self.model.load_state_dict(self.first)
        self.model.eval()
        self.model.requires_grad_(False)


def loss(found: dict, given) -> torch.Tensor:
    """Return the loss of `kshot.potentials.EnergyForces`."""
    atoms = given.ptr[1:] - given.ptr[:-1]
    per_atom = ((found["energy"] - given.energy) / atoms).square().mean()
    components = (found["forces"] - given.forces).square().mean()
    return sizes.ENERGY_WEIGHT * per_atom + sizes.FORCES_WEIGHT * components


def with_cueq(model: torch.nn.Module, device: str) -> torch.nn.Module:
    """Return the same network by cuEquivariance."""
    from mace.cli.convert_e3nn_cueq import run

    return run(model, device=device, return_model=True)


def dynamics(side: Side, names: Sequence[str], about: dict) -> None:
    """Measure molecular dynamics."""
    for name in names:
        row = {"what": "md", "molecule": name} | about
        measuring.attempt(partial(side.with_ase, name), **row, way="ASE", replicas=1)
        for replicas in (1, sizes.REPLICAS) if name == sizes.MOLECULES[0] else (1,):
            call = partial(side.bare, name, replicas)
            measuring.attempt(call, **row, way="bare loop", replicas=replicas)


def main() -> None:
    """Measure what the command line asks for."""
    parser = measuring.arguments(__doc__.splitlines()[0])
    parser.add_argument("--cueq", action="store_true", help="by cuEquivariance")
    options = parser.parse_args()
    if options.cueq:
        import cuequivariance_torch  # noqa: F401 - mace-torch does not say so if it is missing
    torch.set_default_dtype(torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = options.tf32
    torch.backends.cudnn.allow_tf32 = options.tf32
    device = "cuda" if torch.cuda.is_available() else "cpu"
    kind = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    measuring.say(what="device", platform=device, torch=torch.__version__, device=kind)
    given = problem.read(options.problem)
    model = network(given, options.size)
    if options.weights and not options.cueq:
        sys.path.append(str(SOURCES))
        from export import exported

        np.savez(options.weights, **exported(model))
    if options.cueq:
        model = with_cueq(model.to(device), device)
    side = Side(given, model, device, options)
    for batch in options.batches:
        about = {"what": "train", "size": options.size, "batch": batch}
        measuring.attempt(partial(side.trained, batch), **about)
    dynamics(side, options.molecules, {"size": options.size})


if __name__ == "__main__":
    main()
