"""What decides the shape and the fixed numbers of an SO3krates network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from kshot.core.errors import OptionError

HIGHEST = 4  # degree of the harmonics
MOST = 1e4  # of any size


@dataclass(frozen=True)
class Sizes:
    """Sizes of a network, and the constants of its physics; the defaults are SO3LR's.

    Args:
        features: width of an atom's invariant features.
        heads: of the attention that updates them.
        layers: how many times atoms exchange messages.
        degrees: of the harmonics: 1 to this one; each has an attention head of its own.
        radial: functions of the distance.
        decay: in 1/Å: the radial functions are polynomials of exp(−decay · distance).
        neighbours: mean number of neighbours, by which messages are scaled.
        far_cutoff: in Å, of electrostatics and dispersion.
        far_onset: in Å, before ``far_cutoff``, where dispersion begins to fade.
        charge_width: in Å: charges are Gaussians whose Coulomb energy is erf(r / width) / r.
        damping: of dispersion at short range, times the van der Waals radius.
    """

    features: int = 128
    heads: int = 4
    layers: int = 3
    degrees: int = HIGHEST
    radial: int = 32
    decay: float = 0.9448630809783936
    neighbours: float = 13.168995780096482
    far_cutoff: float = 12.0
    far_onset: float = 2.0
    charge_width: float = 4.0
    damping: float = 1.2

    def __post_init__(self) -> None:
        """Check that features can be shared among heads.

        Raises:
            OptionError: they cannot, or a size is out of range.
        """
        for field in fields(self):
            if not 0 < getattr(self, field.name) < MOST:
                got = f"{getattr(self, field.name)}"
                raise OptionError(f"{field.name} between 0 and {MOST:g}", got, "Take SO3LR's.")
        if self.degrees > HIGHEST or self.radial < 2 or self.far_onset >= self.far_cutoff:
            got = f"degrees {self.degrees}, radial {self.radial}, far_onset {self.far_onset}"
            expected = f"degrees up to {HIGHEST}, two radial functions, an onset before the cutoff"
            raise OptionError(expected, got, "Take SO3LR's.")
        if any(self.features % parts for parts in (self.heads, self.degrees, 4)):
            expected = f"features divisible by 4, by {self.heads} heads, {self.degrees} degrees"
            raise OptionError(expected, f"{self.features}", "Take a multiple of all.")

    @property
    def components(self) -> int:
        """How many components the harmonics have."""
        return (self.degrees + 1) ** 2 - 1

    @classmethod
    def read(cls, written: Any) -> Sizes:  # noqa: ANN401 - JSON
        """Return the sizes that plain JSON values name.

        Raises:
            OptionError: an unknown name, or a value out of range.
        """
        kinds = {
            field.name: {int} if field.type == "int" else {int, float} for field in fields(cls)
        }
        plain = isinstance(written, dict) and all(
            type(value) in kinds.get(name, ()) for name, value in written.items()
        )
        if not plain:
            expected = f"numbers for any of {', '.join(sorted(kinds))}"
            raise OptionError(expected, repr(written)[:80], "Drop the rest.")
        return cls(**written)
