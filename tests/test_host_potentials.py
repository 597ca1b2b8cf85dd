"""A potential that JAX does not compute is adapted as one that it does, by the same code."""

import jax
import numpy as np
import pytest

from kshot.atoms.asedb import to_ase
from kshot.atoms.graph import Size, pad
from kshot.core.errors import OptionError
from kshot.fewshot import slopes
from kshot.fewshot.adapt import adapt
from kshot.potentials.derived import energy_and_forces
from kshot.potentials.host import HostPotential
from methanol import METHANOL
from springs import rattled, start

predicted = jax.jit(energy_and_forces, static_argnums=0)
sloped = jax.jit(slopes._linearise, static_argnums=0)


class Elsewhere(HostPotential):
    """The springs, as if another program computed them: asked frame by frame, given no padding."""

    elements: tuple[int, ...]
    cutoff: float

    def predict(self, params, graph):
        springs = start().potential
        energy, forces = predicted(springs, params, graph)
        return float(energy), np.asarray(forces, np.float64)

    def slopes(self, params, graph, ways):
        size = Size(graph.size.atoms + 1, graph.size.edges)
        whole = pad(graph, size, self.cutoff)
        room = np.concatenate([ways, np.zeros_like(ways[:, :1])], axis=1)
        return np.asarray(sloped(start().potential, params, whole, room))


def elsewhere():
    springs = start()
    return springs.with_(potential=Elsewhere(springs.potential.elements, springs.potential.cutoff))


@pytest.mark.usefixtures("x64")
def test_adaptation_is_that_of_the_same_potential_in_jax():
    frames = rattled(6)
    inside, outside = (
        adapt(model, frames, methods=("shift", "relative", "fisher"))
        for model in (start().astype("float64"), elsewhere().astype("float64"))
    )
    assert outside.chosen.method.name == inside.chosen.method.name
    np.testing.assert_allclose(outside.chosen.error, inside.chosen.error, rtol=1e-4)
    there = rattled(1, seed=5)[0].structure
    np.testing.assert_allclose(outside.forces(there), inside.forces(there), atol=1e-5)
    assert outside.energy(there) == pytest.approx(inside.energy(there), abs=1e-5)


def test_what_jax_would_have_to_compute_is_refused_with_a_way_out():
    model = elsewhere()
    with pytest.raises(OptionError, match="take its parameters back to where it lives"):
        model.calculator().get_potential_energy(to_ase(METHANOL))
    with pytest.raises(OptionError, match="Train it where it lives"):
        model.potential.init(jax.random.key(0))
