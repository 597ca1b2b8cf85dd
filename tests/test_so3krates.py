"""SO3krates with physics: the numbers of so3krates-torch, and molecules that do not see each other.

The references are energies (eV), forces (eV/Å), charges and Hirshfeld ratios by so3krates-torch
0.2.1 in float64: of SO3LR, and of a small model with random weights, which is stored beside them.
"""

from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot.atoms import Structure
from kshot.atoms.graph import Size, graph, pad
from kshot.core.errors import ModelFileError, OptionError, StructureError
from kshot.core.torch_file import Module, module, read_torch
from kshot.potentials import energy_and_forces, potentials
from kshot.potentials.joined import join, predict_joined
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import load, save
from kshot.potentials.model_potential import describe, rebuild
from kshot.potentials.so3krates import Sizes, So3krates
from kshot.potentials.so3krates.convert import Converted, convert
from kshot.potentials.so3krates.radial import switch

DATA = Path(__file__).parent / "data"
ROOM = Size(14, 136)  # of all small molecules: one program
SMALL = (1, 3, 4, 5, 7, 10, 12, 13, 14, 17, 18)  # of the reference; ions and radicals among them

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")


@cache
def reference() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "so3lr_reference.npz"))


@cache
def random_module() -> Module:
    return module(read_torch(DATA / "so3lr_random.model"))


@cache
def random_model() -> Converted:
    return convert(random_module())


def molecule(number: int) -> Structure:
    known = reference()
    charge, multiplicity = (int(n) for n in known[f"{number}/charge_and_multiplicity"])
    numbers = known[f"{number}/numbers"].astype(int)
    return Structure(numbers, known[f"{number}/positions"], charge, multiplicity)


def program(converted: Converted):
    potential = converted.potential
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), converted.params)
    run = jax.jit(lambda p, g: (energy_and_forces(potential, p, g), potential.properties(p, g)))
    return lambda structure, room: run(
        params, pad(graph(structure, potential.cutoff, np.float64), room, potential.cutoff)
    )


@cache
def random_program():
    return program(random_model())


def check(found, converted: Converted, kind: str, number: int, tolerance: float) -> None:
    (energy, forces), properties = found
    known, structure = reference(), molecule(number)
    atoms = len(structure)
    total = float(energy) + sum(converted.e0s[int(z)] for z in structure.numbers)
    assert total == pytest.approx(float(known[f"{kind}/{number}/energy"]), abs=tolerance)
    for name, values in {
        "forces": forces,
        "charges": properties.charge,
        "ratios": properties.ratio,
    }.items():
        np.testing.assert_allclose(
            values[:atoms], known[f"{kind}/{number}/{name}"], atol=tolerance, err_msg=name
        )
        assert not np.asarray(values[atoms:]).any()
    assert float(properties.charge.sum()) == pytest.approx(structure.charge, abs=1e-9)


@pytest.mark.parametrize("number", SMALL)
def test_numbers_of_so3krates_torch(number):
    check(random_program()(molecule(number), ROOM), random_model(), "random", number, 1e-6)


def test_charge_and_spin_are_inputs():
    ion = molecule(10)
    neutral = ion.replace(charge=0)
    radical = ion.replace(multiplicity=3)
    energies = [float(random_program()(one, ROOM)[0][0]) for one in (ion, neutral, radical)]
    assert len({round(energy, 4) for energy in energies}) == 3


def test_molecules_in_one_graph_do_not_see_each_other():
    """Formamide and ethanol in one place: nothing between them, near or far."""
    converted = random_model()
    potential = converted.potential
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), converted.params)
    pair = [molecule(number) for number in (8, 11)]
    graphs = [graph(one, potential.cutoff, np.float64) for one in pair]
    joined = join(graphs, Size(20, 128), 4, potential.cutoff)
    energies, forces = jax.jit(lambda p, j: predict_joined(potential, 4, p, j))(params, joined)
    alone = [random_program()(one, ROOM)[0] for one in pair]
    np.testing.assert_allclose(energies, [float(e) for e, _ in alone] + [0, 0], atol=1e-10)
    both = np.concatenate([f[: len(one)] for (_, f), one in zip(alone, pair, strict=True)])
    np.testing.assert_allclose(forces[: len(both)], both, atol=1e-10)


def test_forces_reach_far_and_end_smoothly():
    """Charged fragments beyond the cutoff of messages feel each other, up to the far cutoff."""
    one, atoms = molecule(0), 3

    def at(distance: float) -> tuple[float, np.ndarray]:
        moved = one.positions + np.array([distance, 0, 0])
        numbers = np.concatenate([one.numbers, one.numbers])
        pair = Structure(numbers, np.concatenate([one.positions, moved]))
        energy, forces = random_program()(pair, ROOM)[0]
        return float(energy), np.asarray(forces)[:atoms].sum(axis=0)

    apart = at(40.0)[0]
    assert np.abs(at(40.0)[1]).max() < 1e-12
    assert abs(at(8.0)[0] - apart) > 1e-5
    span = max(np.ptp(one.positions[:, 0]), 1)
    for distance in (12 + span + 1e-3, 30.0):
        assert at(distance)[0] == pytest.approx(apart, abs=1e-9)
    # the work of the forces is what the energy changes by, all the way out
    path = np.linspace(10.0, 12 + span, 60)
    along = [at(distance) for distance in path]
    work = np.trapezoid([force[0] for _, force in along], path)
    assert work == pytest.approx(along[-1][0] - along[0][0], rel=2e-2)


def test_the_switch_is_flat_at_both_ends():
    x = jnp.linspace(-1.0, 3.0, 401)
    values = switch(x, 0.0, 2.0)
    assert values[0] == 1
    assert values[-1] == 0
    assert float(switch(jnp.asarray(1.0), 0.0, 2.0)) == pytest.approx(0.5)
    third = jax.vmap(jax.grad(jax.grad(jax.grad(lambda r: switch(r, 0.0, 2.0)))))(x)
    assert np.isfinite(third).all()
    flat = np.asarray((x <= 0) | (x >= 2))
    np.testing.assert_allclose(np.asarray(third)[flat], 0, atol=1e-12)


def test_atoms_in_one_place_give_numbers():
    structure = Structure(np.array([6, 1, 1]), np.zeros((3, 3)))
    (energy, forces), _ = random_program()(structure, ROOM)
    assert np.isfinite(float(energy))
    assert np.isfinite(forces).all()


def test_crystals_are_refused():
    potential = random_model().potential
    crystal = Structure(
        np.array([6]), np.zeros((1, 3)), cell=10 * np.eye(3), pbc=np.array([True] * 3)
    )
    with pytest.raises(StructureError, match="no periodic cell"):
        potential.refuse(crystal)
    model = Model(potential, random_model().params, random_model().e0s, Seen((6,)))
    with pytest.raises(StructureError, match="molecule without a cell"):
        model.predict([crystal])


def test_files_keep_it(tmp_path):
    converted = random_model()
    model = Model(converted.potential, converted.params, converted.e0s, Seen(potentials_elements()))
    save(model, tmp_path / "small.kshot")
    again = load(tmp_path / "small.kshot")
    assert again.potential == converted.potential
    assert again.digest == model.digest


def potentials_elements() -> tuple[int, ...]:
    return random_model().potential.elements


def test_descriptions_of_others_are_refused():
    written = describe(potentials.example("so3krates"))
    assert describe(rebuild(written)) == written
    for change in (
        {"sizes": {"features": 7}},
        {"sizes": {"depth": 3}},
        {"sizes": {"layers": 1.5}},
        {"sizes": {"far_cutoff": 3.0}},
        {"sizes": []},
        {"elements": [1, 80]},
    ):
        with pytest.raises(ModelFileError):
            rebuild(written | change)


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(OptionError, match="multiple of all"):
        Sizes(features=20, heads=3)
    with pytest.raises(OptionError, match="elements up to Ar; got Zn"):
        So3krates((1, 30))


def changed(saved: Module, **attributes: object) -> Module:
    return saved._replace(attributes=saved.attributes | attributes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("radial_basis_fn", "bessel"),
        ("cutoff_fn_name", "cosine"),
        ("residual_mlp_2", True),
        ("use_charge_embed", False),
        ("dispersion_energy_bool", False),
        ("degrees", [0, 1, 2]),
        ("qk_non_linearity", None),
    ],
)
def test_what_the_network_has_not_is_refused_by_name(name, value):
    with pytest.raises(ModelFileError, match="degrees" if name == "degrees" else name):
        convert(changed(random_module(), **{name: value}))


def test_another_model_is_refused():
    with pytest.raises(ModelFileError, match="Sequential"):
        convert(module(read_torch(DATA / "torch_small.model")))
    with pytest.raises(ModelFileError, match="another version"):
        convert(random_module()._replace(children={}))
    with pytest.raises(ModelFileError, match="of shape"):
        convert(changed(random_module(), num_features=24))
