"""The closed form against dense algebra written out: noises of energies, and anchors."""

from __future__ import annotations

import numpy as np
import pytest

from kshot.atoms import Labelled, Structure
from kshot.fewshot.least_squares import ROUNDING, SHIFT, Prior, gram
from kshot.labelers import labeler
from springs import rattled, ready, start


def test_noise_of_energies_grows_with_the_root_of_atoms():
    # methanol beside water: six atoms and three.
    water = Structure(np.array([8, 1, 1]), np.array([[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]]))
    frames = [*rattled(1), Labelled(water, labeler("analytic").label(water))]
    found = ready(start(), frames).rows
    noise = Prior(np.ones(9), energy_noise=0.02, force_noise=0.3).noise(found)
    np.testing.assert_allclose(noise[found.is_energy], [0.02**2 * 6, 0.02**2 * 3])
    np.testing.assert_allclose(noise[~found.is_energy], 0.3**2)


@pytest.mark.parametrize("keep", [1.0, 25.0])
def test_anchors_are_labels_that_say_stay(keep):
    model = start()
    own, anchors = (ready(model, rattled(count, seed)).rows for count, seed in ((3, 0), (2, 1)))
    prior = Prior(np.linspace(0.01, 0.3, own.jacobian.shape[1]))
    solved = gram(own, prior, anchors, keep).solve()
    [fit] = solved.fits(solved.multipliers(own.residual[None], [()]))

    # δ = −V Jᵀ C⁻¹ r with rows of both; anchors' residuals are zero, and shifts pass them by.
    jacobian = np.concatenate([own.jacobian, anchors.jacobian]).astype(np.float64)
    counts = own.counts[own.frame] * own.is_energy[:, None]
    counts = np.concatenate([counts, np.zeros((len(anchors.frame), counts.shape[1]))])
    noise = np.concatenate([prior.noise(own), prior.noise(anchors) / keep])
    product = jacobian * prior.variance @ jacobian.T
    covariance = product + np.diag(noise + ROUNDING[0] * product.diagonal().max())
    covariance += SHIFT**2 * counts @ counts.T
    residual = np.concatenate([own.residual, np.zeros(len(anchors.frame))])
    multipliers = np.linalg.solve(covariance, residual)
    move = -prior.variance * (jacobian.T @ multipliers)
    np.testing.assert_allclose(fit.move, move, atol=2e-3 * abs(move).max())
    np.testing.assert_allclose(fit.shifts, -(SHIFT**2) * counts.T @ multipliers, atol=2e-3)
