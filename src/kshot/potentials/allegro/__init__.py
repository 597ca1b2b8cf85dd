"""Allegro, the strictly local equivariant potential, written on e3nn-jax as an mlip network."""

from kshot.potentials.allegro.config import AllegroConfig as AllegroConfig
from kshot.potentials.allegro.network import Allegro as Allegro

__all__ = ["Allegro", "AllegroConfig"]
