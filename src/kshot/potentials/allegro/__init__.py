"""Allegro, the strictly local equivariant potential, written on e3nn-jax as an mlip network."""

from kshot.potentials.allegro.config import AllegroConfig as AllegroConfig
from kshot.potentials.allegro.network import Allegro as Allegro
from kshot.potentials.allegro.sizes import SIZES as SIZES

__all__ = ["SIZES", "Allegro", "AllegroConfig"]
