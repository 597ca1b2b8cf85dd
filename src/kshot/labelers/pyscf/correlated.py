"""MP2, CCSD and CCSD(T): energies and gradients of small molecules, all electrons correlated."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Failure

MORE_CYCLES = 200  # at gradients' tighter thresholds


def energy_and_gradient(
    mean_field: Any,  # noqa: ANN401 - PySCF's objects have no types
    method: str,
) -> tuple[float, Float64[np.ndarray, "atoms 3"]] | Failure:
    """Return energy (Hartree) and gradient (Hartree/Bohr) on a converged mean field.

    Args:
        mean_field: PySCF's, restricted for closed shells and unrestricted for open ones.
        method: ``mp2``, ``ccsd`` or ``ccsd(t)``.
    """
    if method == "ccsd(t)" and mean_field.mol.spin:
        # Measured with PySCF 2.14 on NH₂/6-31G: the gradient is 0.02 eV/Å off its own energies.
        return Failure("refused", "PySCF has no right gradient of open-shell CCSD(T); use ccsd")
    if method == "mp2":
        perturbation = mean_field.MP2().run()
        return float(perturbation.e_tot), np.asarray(perturbation.nuc_grad_method().kernel())
    cluster = mean_field.CCSD()
    cluster.conv_tol, cluster.conv_tol_normt, cluster.max_cycle = 1e-9, 1e-7, MORE_CYCLES
    cluster.kernel()
    if not cluster.converged:
        return Failure("not converged", f"CCSD amplitudes after {MORE_CYCLES} cycles")
    if method == "ccsd":
        cluster.solve_lambda()
        if not cluster.converged_lambda:
            return Failure("not converged", f"CCSD Λ equations after {MORE_CYCLES} cycles")
        return float(cluster.e_tot), np.asarray(cluster.nuc_grad_method().kernel())
    return _triples(cluster)


def _triples(
    cluster: Any,  # noqa: ANN401
) -> tuple[float, Float64[np.ndarray, "atoms 3"]] | Failure:
    """CCSD(T): `nuc_grad_method` would give the gradient of CCSD alone, without a word."""
    from pyscf.cc import ccsd_t_lambda_slow as equations
    from pyscf.grad import ccsd_t as gradients

    integrals = cluster.ao2mo()
    energy = float(cluster.e_tot) + float(cluster.ccsd_t(eris=integrals))
    converged, l1, l2 = equations.kernel(
        cluster, integrals, cluster.t1, cluster.t2, max_cycle=MORE_CYCLES, tol=1e-8, verbose=0
    )
    if not converged:
        return Failure("not converged", f"CCSD(T) Λ equations after {MORE_CYCLES} cycles")
    gradient = gradients.Gradients(cluster).kernel(cluster.t1, cluster.t2, l1, l2, eris=integrals)
    return energy, np.asarray(gradient)
