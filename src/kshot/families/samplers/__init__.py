"""Samplers of configurations: one scaffold, a temperature, isotopes → geometries worth a label.

Every sampler is one function of the same form, found by name in `samplers`:

    samplers.get("wigner")(structure, labeler, n, temperature=300.0, seed=0)

It returns ``n`` structures, or a `Failure` where the engine gave no label or where not enough
geometries were acceptable. The same seed gives the same frames. Every frame's ``info`` records
``sampler``, ``temperature`` (K), ``seed``, ``trajectory``, ``time`` (fs) and ``isotopes``, so that
support and query can be kept apart.
"""

from kshot.core.registry import Registry
from kshot.families.samplers.accept import Accept
from kshot.families.samplers.base import Sampler
from kshot.families.samplers.hessian import curvature
from kshot.families.samplers.isotopes import isotopes_of, masses_of, with_isotopes
from kshot.families.samplers.modes import Curvature, Modes, modes
from kshot.families.samplers.relax import relax

samplers = Registry(
    "sampler",
    {
        "langevin": "kshot.families.samplers.langevin:langevin",
        "normal_modes": "kshot.families.samplers.harmonic:normal_modes",
        "path_integral": "kshot.families.samplers.path_integral:path_integral",
        "rattle": "kshot.families.samplers.rattle:rattle",
        "torsion_scan": "kshot.families.samplers.torsions:torsion_scan",
        "wigner": "kshot.families.samplers.harmonic:wigner",
    },
    extras={"path_integral": "ipi"},
)
"""Every sampler by name."""

__all__ = [
    "Accept",
    "Curvature",
    "Modes",
    "Sampler",
    "curvature",
    "isotopes_of",
    "masses_of",
    "modes",
    "relax",
    "samplers",
    "with_isotopes",
]
