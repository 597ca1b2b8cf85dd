"""Fragments of proteins: capped residues, pairs in contact, pockets, with the right charges.

read → assign (bonds, protonation, charges) → rebuild missing atoms → add hydrogens → cut
"""

from kshot.families.proteins.build import Cuts, Fragments, fragment_protein
from kshot.families.proteins.chemistry import States
from kshot.families.proteins.metals import Ion

__all__ = ["Cuts", "Fragments", "Ion", "States", "fragment_protein"]
