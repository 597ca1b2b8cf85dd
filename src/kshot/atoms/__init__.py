"""Atoms: structures and labels on the host, padded graphs on the device, and their files.

Nothing here knows of learning. What runs on the host imports no JAX.
"""

from kshot.atoms.labels import Failure, Fingerprint, Labeler, Labelled, Labels
from kshot.atoms.structure import Structure

__all__ = ["Failure", "Fingerprint", "Labeler", "Labelled", "Labels", "Structure"]
