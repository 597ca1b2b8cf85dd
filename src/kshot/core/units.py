"""Units: inside kshot everything is in eV, Å, fs, K and atomic mass units.

Multiply by a constant to come in (``energy_in_hartree * HARTREE``), divide to go out. CODATA 2018,
the values ASE uses.
"""

from __future__ import annotations

from typing import Final

HARTREE: Final = 27.211386245988
"""eV"""
BOHR: Final = 0.529177210903
"""Å"""
RYDBERG: Final = HARTREE / 2
"""eV"""
KCAL_PER_MOL: Final = 0.043364104241800934
"""eV"""
KJ_PER_MOL: Final = 0.010364269656262175
"""eV"""
MEV: Final = 1e-3
"""eV"""
BOLTZMANN: Final = 8.617333262145179e-05
"""eV/K"""
HBAR: Final = 0.6582119569509067
"""eV fs"""
ACCELERATION: Final = 0.00964853321233
"""(eV/Å/u) in Å/fs²: a = F/m · ACCELERATION"""
INVERSE_CM: Final = 0.00012398419843320026
"""eV"""
