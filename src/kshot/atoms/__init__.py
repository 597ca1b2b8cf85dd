"""Atoms: structures and labels on the host, padded graphs on the device, and their files.

Nothing here knows of learning. What runs on the host imports no JAX; `kshot.atoms.graph` does.
"""

from kshot.atoms.check import check_structure, require_sound
from kshot.atoms.descriptors import descriptor, descriptors, farthest_points, near_duplicates
from kshot.atoms.labels import Failure, Fingerprint, Labeler, Labelled, Labels
from kshot.atoms.structure import Structure

__all__ = [
    "Failure",
    "Fingerprint",
    "Labeler",
    "Labelled",
    "Labels",
    "Structure",
    "check_structure",
    "descriptor",
    "descriptors",
    "farthest_points",
    "near_duplicates",
    "require_sound",
]
