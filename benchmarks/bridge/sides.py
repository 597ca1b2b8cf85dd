"""The same weights on both sides: SO3LR by so3krates-torch, and `bio-small` by mace-torch."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from ase import Atoms

from kshot.atoms import Structure
from kshot.atoms.files import read_structures
from kshot.potentials import torch_bridge
from kshot.potentials.model import Model
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path

torch.serialization.add_safe_globals([slice])  # e3nn loads its constants so, on import
FEWSHOT = Path(__file__).parents[1] / "fewshot"
FRAMES = FEWSHOT / "level" / "uracil.extxyz"
sys.path.insert(0, str(FEWSHOT))  # a MACE of kshot is written back into one of mace-torch there


class Pair(NamedTuple):
    """One model, as a start of either kind."""

    jax: Model
    torch: Model


def so3lr() -> Pair:
    """Return SO3LR by its authors' code, and as kshot has converted it."""
    from so3krates_torch.calculator.so3 import SO3LRCalculator

    calculator = SO3LRCalculator(default_dtype="float32")
    module, converted = calculator.models[0], load(start_path("so3lr"))

    def energy(
        numbers: torch.Tensor, positions: torch.Tensor, charge: int, total_spin: int
    ) -> torch.Tensor:
        info = {"charge": charge, "total_spin": (total_spin - 1) / 2}
        atoms = Atoms(numbers.tolist(), positions.detach().numpy(), info=info)
        data = calculator._atoms_to_batch(atoms).to_dict() | {"positions": positions}
        out = module(data, training=True, compute_force=False, compute_stress=False)
        return out["energy"].sum() - sum(lone[z] for z in numbers.tolist())

    lone = dict(converted.e0s)
    start = torch_bridge.start(
        trainable(module), energy, converted.seen.elements, e0s=lone, charges=(-1, 0, 1)
    )
    return Pair(converted, start)


def mace() -> Pair:
    """Return `bio-small` in kshot, without what it has learned, and as a model of mace-torch."""
    from mace import data
    from mace.tools import AtomicNumberTable, torch_geometric
    from mace_torch.job import as_mace_torch

    ours = load(start_path("bio-small")).with_(learned={})
    with tempfile.TemporaryDirectory() as folder:
        as_mace_torch(Path(sys.executable), ours, [read_one()], Path(folder))
        module = torch.load(Path(folder) / "start.model", weights_only=False).float()
    torch.set_default_dtype(torch.float32)
    table, cutoff = AtomicNumberTable(list(ours.potential.elements)), ours.potential.cutoff

    def energy(
        numbers: torch.Tensor, positions: torch.Tensor, charge: int, total_spin: int
    ) -> torch.Tensor:
        del charge, total_spin
        config = data.Configuration(
            numbers.numpy(), positions.detach().numpy(), properties={}, property_weights={}
        )
        frame = data.AtomicData.from_config(config, z_table=table, cutoff=cutoff)
        batch = next(iter(torch_geometric.dataloader.DataLoader([frame], batch_size=1)))
        given = batch.to_dict() | {"positions": positions}
        return module(given, training=True, compute_force=False)["interaction_energy"].sum()

    start = torch_bridge.start(
        trainable(module), energy, ours.potential.elements, e0s=ours.e0s, levels=ours.seen.levels
    )
    return Pair(ours, start)


def read_one() -> Structure:
    """Return one structure of the labels, to check a model on."""
    return next(iter(read_structures(FRAMES)))


def trainable(module: torch.nn.Module) -> torch.nn.Module:
    """Return a module whose parameters may be differentiated by."""
    return module.requires_grad_(True)
