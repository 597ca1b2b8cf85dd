"""A family: one chemistry, its members, and where it stands among the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kshot.atoms import Structure

CONVERGES = "converges"
"""What the status of an engine says where it gives labels."""


@dataclass(frozen=True)
class Member:
    """One scaffold of a family: a protonation state, a conformer class, a spin state.

    Args:
        name: unique within its family.
        structure: a reference geometry with charge and multiplicity; ``structure.family`` is the
            family's name.
        smiles: what it was built from; empty if from coordinates.
        note: what a user must know, such as why an engine fails on it.
        status: by name of an engine, ``"converges"`` or what is wrong, as measured; engines that
            nobody has tried are absent.
    """

    name: str
    structure: Structure
    smiles: str = ""
    note: str = ""
    status: Mapping[str, str] = field(default_factory=dict)

    def usable(self, engine: str) -> bool:
        """Whether nothing measured speaks against labels of ``engine``."""
        return self.status.get(engine, CONVERGES) == CONVERGES


@dataclass(frozen=True)
class Family:
    """One chemistry τ of the distribution p(τ).

    Args:
        name: unique in a catalogue; lower case with dashes.
        stratum: the coarse class it is stratified by, such as ``side-chain`` or ``metal-site``.
        members: its scaffolds.
        tags: further classes by kind: ``metal``, ``cofactor``, ``modification``, ``cath``,
            ``scop``, ``cluster`` …
        note: what a user must know.
    """

    name: str
    stratum: str
    members: tuple[Member, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
