"""Models: refusals, predictions in few programs, the calculator of ASE, precision."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.md.verlet import VelocityVerlet

from kshot.atoms import Fingerprint, Structure
from kshot.atoms.graph import graph
from kshot.core.errors import DataError, OptionError, UnseenError
from kshot.potentials import energy_and_forces, potentials
from kshot.potentials.model import KINDS, Model, Seen
from kshot.potentials.model_predict import ROOMS, ladder, packs

GFN2 = Fingerprint("tblite", "0.5.0", "GFN2-xTB")
E0S = {1: -13.6, 6: -1029.5, 8: -2041.25}


def model(cutoff: float = 5.0, kind: str = "morse") -> Model:
    potential = potentials.get(kind)((1, 6, 8, 9), cutoff=cutoff)
    seen = Seen((1, 6), (0, -1), (1,), (GFN2.text,))
    return Model(potential, potential.init(jax.random.key(0)), E0S, seen)


def blob(rng: np.random.Generator, atoms: int) -> Structure:
    """Atoms at random, about as dense as molecules are."""
    side = (atoms * 8.0) ** (1 / 3)
    return Structure(rng.choice([1, 6], atoms), rng.uniform(0, side, (atoms, 3)))


WATER = Structure(np.array([8, 1, 1]), np.array([[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
METHANE = Structure(
    np.array([6, 1, 1, 1, 1]),
    0.63 * np.array([[0.0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]),
)


@pytest.mark.parametrize(
    ("kind", "structure", "level", "says"),
    [
        ("elements", WATER, None, "H, C; got O"),
        ("charges", METHANE.replace(charge=2), None, "+0, -1; got +2"),
        ("multiplicities", METHANE.replace(multiplicity=3), None, "seen: 1; got 3"),
        ("levels", METHANE, Fingerprint("pyscf", "2.8", "hf", "sto-3g"), "GFN2-xTB (tblite"),
    ],
)
def test_what_a_model_has_not_seen_is_refused_unless_allowed(kind, structure, level, says):
    with pytest.raises(UnseenError) as caught:
        model().refuse(structure, level)
    assert says in str(caught.value)
    assert repr(kind) in str(caught.value)
    with pytest.raises(UnseenError):
        model().refuse(structure, level, allow=set(KINDS) - {kind})
    model().refuse(structure, level, allow={kind})


def test_what_a_model_has_seen_is_not_refused():
    model().refuse(METHANE, GFN2)
    model().refuse(METHANE.replace(charge=-1), GFN2.text)


def test_elements_without_parameters_or_without_e0_are_never_allowed():
    for number in (7, 9):  # no parameters; parameters but no E0
        with pytest.raises(UnseenError, match="Nothing allows"):
            model().refuse(Structure(np.array([number]), np.zeros((1, 3))), allow=KINDS)


def test_unknown_permissions_are_an_error():
    with pytest.raises(OptionError, match="charge"):
        model().refuse(METHANE, allow={"charge"})


def test_seen_joins_with_the_newer_level_last():
    joined = Seen((1, 6), (0,), (1,), ("a", "b")).joined(Seen((1, 8), (1,), (2,), ("a",)))
    assert joined == Seen((1, 6, 8), (0, 1), (1, 2), ("b", "a"))


def test_predictions_are_those_of_the_potential_in_the_order_given(rng):
    one = model()
    structures = [blob(rng, atoms) for atoms in (5, 30, 9, 5, 1)]
    compiled = jax.jit(energy_and_forces, static_argnums=0)
    for structure, labels in zip(structures, one.predict(structures), strict=True):
        bare = jax.tree.map(jnp.asarray, graph(structure, one.potential.cutoff))
        energy, forces = compiled(one.potential, one.params, bare)
        lone = sum(E0S[int(z)] for z in structure.numbers)
        np.testing.assert_allclose(labels.energy - lone, energy, rtol=1e-5, atol=1e-5)
        scale = max(1.0, float(np.abs(forces).max()))
        np.testing.assert_allclose(labels.forces, forces, atol=1e-5 * scale)
    assert one.predict([]) == []


def test_energies_keep_float64_around_e0s():
    one = model().with_(e0s={**E0S, 6: -1e6 / 3})
    bare = one.with_(e0s=dict.fromkeys(E0S, 0.0))
    total, rest = one.predict([METHANE])[0].energy, bare.predict([METHANE])[0].energy
    assert total == pytest.approx(rest - 1e6 / 3 + 4 * E0S[1], abs=1e-9)


def test_a_hundred_sizes_share_one_program(rng):
    one = model(cutoff=4.75)
    structures = [blob(rng, int(atoms)) for atoms in rng.integers(5, 41, 100)]
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiled.append(event)
    )
    one.predict(structures)
    jax.monitoring.clear_event_listeners()
    backend = [event for event in compiled if event.endswith("backend_compile_duration")]
    assert len(one.programs) == 1
    assert len(backend) < 10
    before = one.programs
    one.predict(structures[::-1])
    moved = one.with_(params=jax.tree.map(lambda leaf: 1.01 * leaf, one.params))
    moved.predict(structures)
    assert moved.programs == before


def test_structures_in_one_pack_know_nothing_of_each_other(rng):
    one = model(cutoff=4.0)
    structures = [blob(rng, atoms) for atoms in (7, 150, 3, 30, 12, 90, 2)]
    structures[2] = structures[2].replace(charge=1, multiplicity=2)
    together = one.predict(structures, allow=KINDS)
    for structure, found in zip(structures, together, strict=True):
        (alone,) = one.predict([structure], allow=KINDS)
        assert found.energy == pytest.approx(alone.energy, abs=1e-4)
        np.testing.assert_allclose(found.forces, alone.forces, atol=1e-4)


def test_a_pack_holds_structures_of_one_charge_and_keeps_within_its_room(rng):
    potential = model(cutoff=4.0).potential
    structures = [blob(rng, int(atoms)) for atoms in rng.integers(1, 40, 60)]
    structures[::3] = [one.replace(charge=1) for one in structures[::3]]
    made = packs(potential, [graph(one, potential.cutoff) for one in structures])
    assert sorted(place for pack in made for place in pack.places) == list(range(60))
    assert len(made) < 40
    for pack in made:
        held = [structures[place] for place in pack.places]
        assert {one.charge for one in held} == {int(pack.joined.graph.charge)}
        assert pack.joined.graph.size in ROOMS
        assert sum(len(one) for one in held) < pack.joined.graph.size.atoms
        assert len(held) <= pack.room


def test_few_more_edges_need_no_new_program():
    one = model(cutoff=4.5)
    chain = np.zeros((14, 3))
    chain[:, 0] = 1.6 * np.arange(14)
    one.predict([Structure(np.full(14, 6), chain)])
    nearer = chain.copy()
    nearer[:4] *= 0.9
    one.predict([Structure(np.full(14, 6), nearer)])
    assert len(one.programs) == 1
    one.predict([Structure(np.full(14, 6), chain * 0.5)])
    assert len(one.programs) == 2
    assert ladder(one.potential).edges.keys() == {16}


def test_dynamics_with_the_calculator_conserve_energy_and_never_recompile():
    atoms = molecule("CH4")
    one = model(kind="harmonic")
    atoms.calc = calculator = one.calculator()
    atoms.rattle(0.03, seed=1)
    start = atoms.get_total_energy()
    VelocityVerlet(atoms, 0.2 * units.fs).run(200)
    assert calculator.compilations == 1
    assert abs(atoms.get_total_energy() - start) < 1e-3
    assert atoms.get_kinetic_energy() > 1e-3
    alone = one.predict([Structure(atoms.numbers, atoms.positions)])[0]
    assert alone.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    np.testing.assert_allclose(atoms.get_forces(), alone.forces, atol=1e-4)


def test_the_calculator_refuses_at_its_first_call_and_says_what_spin_it_takes():
    atoms = molecule("H2O")
    atoms.calc = model().calculator()
    with pytest.raises(UnseenError, match="got O"):
        atoms.get_forces()
    atoms.calc = model().calculator(allow={"elements"})
    assert np.isfinite(atoms.get_potential_energy())
    atoms.info["total_charge"] = 1
    atoms.rattle(0.01)
    with pytest.raises(DataError, match="total_spin"):
        atoms.get_potential_energy()
    atoms.info["total_spin"] = 2
    with pytest.raises(UnseenError, match=r"\+1"):
        atoms.get_potential_energy()


def test_stress_is_the_derivative_of_the_energy(x64):
    one = model().astype(np.float64)
    crystal = bulk("C", cubic=True)
    crystal.rattle(0.1, seed=2)
    crystal.calc = one.calculator()
    stress = crystal.get_stress()
    for place, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[i, j] += sign * 1e-5 / 2
            strain[j, i] += sign * 1e-5 / 2
            moved = crystal.copy()
            moved.set_cell(crystal.cell @ strain, scale_atoms=True)
            moved.calc = crystal.calc
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / 2e-5 / crystal.get_volume()
        assert stress[place] == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_float64_is_a_switch_and_never_silently_float32(x64):
    double = model().astype("float64")
    assert double.dtype == np.float64
    wide = double.predict([METHANE])[0]
    narrow = double.astype(np.float32).predict([METHANE])[0]
    assert 0 < abs(wide.energy - narrow.energy) < 1e-3
    with jax.enable_x64(False):
        for use in (lambda: double.predict([METHANE]), double.calculator):
            with pytest.raises(OptionError, match="jax_enable_x64"):
                use()
    with pytest.raises(OptionError, match="float16"):
        double.astype(np.float16)


def test_a_digest_knows_all_that_decides_a_prediction_and_nothing_else():
    one = model()
    others = [
        one.with_(params=jax.tree.map(lambda leaf: leaf * 2, one.params)),
        one.with_(e0s={**E0S, 1: -13.7}),
        one.with_(seen=replace(one.seen, charges=(0,))),
        one.with_(learned={"gauss_newton": {"log_damping": np.float32(-1)}}),
        model(cutoff=5.5),
    ]
    assert len({other.digest for other in [one, *others]}) == 6
    assert one.with_(record={"families": ["a"]}).digest == one.digest == model().digest
