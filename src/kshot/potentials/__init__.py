"""Interatomic potentials: energies of a padded graph, ready for third derivatives.

`potentials` is their registry; a network's configuration is its own, see `networks`.
"""

from kshot.core.registry import Registry
from kshot.potentials.base import Potential
from kshot.potentials.derived import energy, energy_and_forces, stress
from kshot.potentials.loss import EnergyForces, Frames, frames, predict
from kshot.potentials.packed import Packed, pack, pieces

_NETWORKS = "kshot.potentials.architectures"
_CLASSICAL = "kshot.potentials.classical"

NETWORKS = ("mace", "nequip", "allegro", "visnet", "esen")
"""What has a size, and a configuration of its own; classical potentials have a cutoff only."""

potentials = Registry(
    "potential",
    {
        **{name: f"{_NETWORKS}:{name}" for name in NETWORKS},
        "so3krates": "kshot.potentials.so3krates.network:so3krates",
        "lennard_jones": f"{_CLASSICAL}:lennard_jones",
        "morse": f"{_CLASSICAL}:morse",
        "harmonic": f"{_CLASSICAL}:harmonic",
        "zbl": f"{_CLASSICAL}:zbl",
    },
    dict.fromkeys(NETWORKS, "models"),
)

__all__ = [
    "NETWORKS",
    "EnergyForces",
    "Frames",
    "Packed",
    "Potential",
    "energy",
    "energy_and_forces",
    "frames",
    "pack",
    "pieces",
    "potentials",
    "predict",
    "stress",
]
