"""Samplers of configurations: the contract of all, and what each one is for."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Failure
from kshot.core.errors import ContractError, InputError
from kshot.core.units import BOLTZMANN, HBAR
from kshot.families.samplers import Accept, isotopes_of, masses_of, samplers, with_isotopes
from kshot.families.samplers.accept import EVERYTHING, Sieve
from kshot.families.samplers.base import Surface
from kshot.families.samplers.force_field import ForceField
from kshot.families.samplers.geometry import aligned_rmsd, bonds, distances
from kshot.families.samplers.langevin import baoab, kinetic_temperature
from kshot.families.samplers.torsions import rotatable_bonds, turn
from kshot.testing.samplers import check_sampler
from samplers_engines import Broken, Gfn2, Springs, Wells, embedded, water

langevin, rattle, torsion_scan = map(samplers.get, ("langevin", "rattle", "torsion_scan"))


@pytest.fixture(scope="module")
def ethanol_field():
    """MMFF94 for ethanol."""
    return ForceField(embedded("CCO"))


@pytest.mark.parametrize("name", list(samplers))
def test_every_sampler_keeps_the_contract(name, ethanol_field):
    scaffold = with_isotopes(embedded("CCO"), {"H": "D"}, atoms=[8])
    check_sampler(samplers.example(name), scaffold, ethanol_field)


def test_the_contract_sees_copies_and_unseeded_draws():
    def copies(structure, labeler, n, *, temperature, seed, accept=None):
        return rattle(structure, labeler, 1, temperature=temperature, seed=seed) * n

    with pytest.raises(ContractError, match="apart"):
        check_sampler(copies, water(), None)

    def unseeded(structure, labeler, n, *, temperature, seed, accept=None):
        return rattle(structure, None, n, temperature=temperature, seed=len(seen))

    seen = []
    with pytest.raises(ContractError, match="another seed"):
        check_sampler(unseeded, water(), None)


def test_seeds_temperatures_isotopes_and_members_share_no_random_numbers():
    def first(structure, T=300.0, seed=0):
        frame = rattle(structure, None, 1, temperature=T, seed=seed, accept=EVERYTHING)[0]
        moved = frame.positions - structure.positions
        return moved / np.linalg.norm(moved), frame.info["trajectory"]

    heavy = with_isotopes(water(), {"H": "D"})
    stretched = water().replace(positions=1.01 * water().positions)
    cases = [first(water()), first(water(), 600.0), first(water(), seed=1), first(heavy)]
    cases.append(first(stretched))
    for i, (one, trajectory) in enumerate(cases):
        for other, another in cases[:i]:
            assert np.abs(one - other).max() > 1e-3
            assert trajectory != another


def test_langevin_has_the_temperature():
    structure = with_isotopes(embedded("CCO"), {"H": "D"})
    engine, T, masses = Springs(structure), 350.0, masses_of(structure)
    surface, rng = Surface(structure, engine), np.random.default_rng(0)
    run = baoab(surface, structure.positions, masses, T, rng, step=0.5, friction=0.1)
    kinetic, potential = [], []
    for step, (positions, velocities) in zip(range(4500), run, strict=False):
        if step >= 500:
            kinetic.append(kinetic_temperature(velocities, masses))
        if step >= 500 and step % 20 == 0:
            potential.append(engine.label(structure.replace(positions=positions)).energy)
    # Correlated over some 1/friction = 20 steps: 200 independent values of 27 degrees of freedom.
    assert np.mean(kinetic) == pytest.approx(T, rel=4 * np.sqrt(2 / 27 / 200))
    # 21 of them have a harmonic potential too.
    assert np.mean(potential) == pytest.approx(10.5 * BOLTZMANN * T, rel=0.12)


def test_langevin_frames_have_the_classical_spread():
    structure, T = water(), 300.0
    options = {"warm_up": 100.0, "spacing": 8.0, "friction": 0.1, "accept": EVERYTHING}
    frames = langevin(structure, Wells(structure, 5.0), 600, temperature=T, seed=1, **options)
    moved = np.array([frame.positions - structure.positions for frame in frames])
    # Frames are centred, which takes a third of an atom's variance away on average.
    assert (moved**2).sum((1, 2)).mean() / 6 == pytest.approx(BOLTZMANN * T / 5.0, rel=0.12)


def test_langevin_shares_frames_among_trajectories_and_tells_their_times(ethanol_field):
    options = {"temperature": 300.0, "seed": 4, "trajectories": 3, "warm_up": 10.0, "spacing": 20.0}
    frames = langevin(embedded("CCO"), ethanol_field, 7, **options)
    by_run = {}
    for frame in frames:
        by_run.setdefault(frame.info["trajectory"], []).append(frame.info["time"])
    assert [len(times) for times in by_run.values()] == [2, 2, 3]
    assert all(times[0] == 30.0 and np.all(np.diff(times) >= 20.0) for times in by_run.values())


def test_failures_of_the_engine_are_values():
    for name in ("langevin", "wigner", "normal_modes"):
        found = samplers.get(name)(water(), Broken(), 2, temperature=300.0, seed=0)
        assert found == Failure("not converged", "SCF: 250 cycles")
    refused = torsion_scan(embedded("CCO"), Broken(), 2, temperature=300.0, seed=0)
    assert refused.reason == "unphysical"
    assert "no label" in refused.detail


def test_a_run_that_explodes_is_a_failure():
    found = langevin(water(), Wells(water(), -50.0), 5, temperature=300.0, seed=0)
    assert found.reason == "unphysical"
    assert "exploded" in found.detail


def test_rattling_has_its_spread_and_asks_no_engine():
    frames = rattle(water(), None, 2000, temperature=300.0, seed=0, spring=8.0, accept=EVERYTHING)
    moved = np.array([frame.positions - water().positions for frame in frames])
    assert np.var(moved) == pytest.approx(BOLTZMANN * 300.0 / 8.0, rel=0.05)


@pytest.mark.parametrize(
    ("smiles", "turning"),
    [
        ("CC", 1),
        ("CCO", 2),
        ("C=C", 0),
        ("c1ccccc1", 0),
        ("Cc1ccccc1", 1),
        ("CC(=O)NC", 2),  # the amide bond does not turn
        ("CC#CC", 0),  # turning about a straight line of atoms needs more than one bond
        ("CC(=O)N[C@@H](C)C(=O)NC", 5),
        ("O", 0),
    ],
)
def test_rotatable_bonds(smiles, turning):
    assert len(rotatable_bonds(embedded(smiles))) == turning


def test_turning_changes_one_torsion_and_no_bond(rng):
    structure = embedded("CCO")
    for i, j in rotatable_bonds(structure):
        from kshot.families.samplers.torsions import side

        bonded = bonds(structure.numbers, structure.positions)
        turned = turn(structure.positions, (i, j), sorted(side(bonded, i, j)), 1.0)
        lengths = [distances(R)[bonded] for R in (turned, structure.positions)]
        assert lengths[0] == pytest.approx(lengths[1])
        assert aligned_rmsd(turned[None], structure.positions)[0] > 0.1


def test_torsion_scans_cover_the_circle():
    structure = embedded("CC(=O)N[C@@H](C)C(=O)NC")
    n = 24
    options = {"thermalise": 0.0, "accept": Accept(close=0.4, made=0.5)}
    frames = torsion_scan(structure, None, n, temperature=300.0, seed=0, **options)
    from kshot.families.samplers.internals import _torsions

    i, j = rotatable_bonds(structure)[1]
    bonded = bonds(structure.numbers, structure.positions)
    a = next(k for k in np.flatnonzero(bonded[i]) if k != j)
    b = next(k for k in np.flatnonzero(bonded[j]) if k != i)
    angles = [_torsions(frame.positions, np.array([[a, i, j, b]]))[0][0] for frame in frames]
    assert np.histogram(angles, 6, (-np.pi, np.pi))[0].min() >= 2


def test_a_rigid_scaffold_has_no_torsion_scan():
    with pytest.raises(InputError, match="langevin, normal_modes or wigner"):
        torsion_scan(water(), Gfn2(), 3, temperature=300.0, seed=0)


def test_broken_and_repeated_geometries_are_refused():
    reference = embedded("CCO")
    sieve, R = Sieve(reference, Accept(distance=0.1)), reference.positions
    assert sieve.offer(reference)
    spin = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    spin *= np.linalg.det(spin)
    assert not sieve.offer(reference.replace(positions=R @ spin + 3.0))
    hydrogen = np.array(R)
    hydrogen[8] = R[2] + 1.6 * (R[8] - R[2])
    assert not sieve.offer(reference.replace(positions=hydrogen))
    clash = np.array(R)
    clash[8] = R[2] + 0.4 * (R[8] - R[2])
    assert not sieve.offer(reference.replace(positions=clash))
    assert sieve.refused == {"near copy": 1, "broken bond": 1, "atoms too close": 1}
    assert "1 of 2 frames were acceptable" in sieve.result(2).detail
    free = Sieve(reference, Accept(bonds="free"))
    assert free.offer(reference.replace(positions=hydrogen))


def test_a_new_bond_is_refused():
    pair = water().replace(
        numbers=np.array([8, 1, 1, 10]), positions=np.vstack([water().positions, [0, 0, 3.0]])
    )
    near = np.array(pair.positions)
    near[3, 2] = 1.0
    sieve = Sieve(pair, Accept(close=0.1))
    assert not sieve.offer(pair.replace(positions=near))
    assert sieve.refused["new bond"] == 1


def test_mirror_images_are_different_configurations():
    structure = embedded("C[C@H](N)O")
    mirrored = structure.positions * [1, 1, -1]
    assert aligned_rmsd(mirrored[None], structure.positions)[0] > 0.3


@given(st.sampled_from(["D", "2H", "T", "3H"]), st.sets(st.sampled_from([1, 2]), min_size=1))
def test_isotopes_change_the_masses_asked_for_and_say_so(isotope, atoms):
    heavy = with_isotopes(water(), {"H": isotope}, atoms)
    mass = 2 if isotope in {"D", "2H"} else 3
    assert [round(m) for m in masses_of(heavy)] == [
        16,
        *(mass if i in atoms else 1 for i in (1, 2)),
    ]
    assert isotopes_of(heavy) == f"{mass}H:{','.join(map(str, sorted(atoms)))}"
    assert heavy.key == water().key
    assert isotopes_of(water()) == ""


@settings(max_examples=50)
@given(st.text(max_size=4))
def test_isotopes_nobody_knows_are_refused(name):
    if name in {"D", "T", "1H", "2H", "3H", "4H", "5H", "6H", "7H"}:
        return
    with pytest.raises(InputError):
        with_isotopes(water(), {"H": name})


def test_isotopes_of_other_elements_and_of_absent_ones_are_refused():
    with pytest.raises(InputError, match="an isotope of O"):
        with_isotopes(water(), {"O": "13C"})
    with pytest.raises(InputError, match="C among the chosen atoms"):
        with_isotopes(water(), {"C": "13C"})
    assert masses_of(with_isotopes(water(), {"O": "18O"}))[0] == pytest.approx(17.99916)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("rattle", {"n": 0}, "n ≥ 1"),
        ("rattle", {"temperature": 0.0}, "kelvin"),
        ("rattle", {"temperature": float("nan")}, "kelvin"),
        ("rattle", {"spring": -1.0}, "spring"),
        ("wigner", {"temperature": -1.0}, "kelvin"),
        ("langevin", {"trajectories": 9}, "1 to 2 trajectories"),
        ("langevin", {"step": 0.0}, "step > 0"),
        ("path_integral", {"beads": 0}, "beads"),
        ("path_integral", {"spacing": -1.0}, "spacing"),
    ],
)
def test_impossible_requests_are_refused_at_once(name, options, words):
    engine = Broken()
    asked = {"n": 2, "temperature": 300.0, "seed": 0} | options
    with pytest.raises(InputError, match=words):
        samplers.get(name)(water(), engine, **asked)


def test_periodic_cells_are_refused():
    cell = water().replace(cell=10 * np.eye(3), pbc=np.ones(3, bool))
    with pytest.raises(InputError, match="periodic"):
        rattle(cell, None, 1, temperature=300.0, seed=0)


def test_force_fields_are_engines(ethanol_field):
    import pickle

    structure = embedded("CCO")
    for method in ("MMFF94", "MMFF94s", "UFF"):
        field = ForceField(structure, method)
        R = structure.positions + 0.03 * np.random.default_rng(0).standard_normal((9, 3))
        forces = field.label(structure.replace(positions=R)).forces
        for i, axis in ((0, 0), (2, 1), (8, 2)):
            moved = np.zeros_like(R)
            moved[i, axis] = 1e-4
            ahead, behind = (
                field.label(structure.replace(positions=R + s * moved)).energy for s in (1, -1)
            )
            assert (behind - ahead) / 2e-4 == pytest.approx(forces[i, axis], abs=1e-4)
        again = pickle.loads(pickle.dumps(field))
        assert again.label(structure).energy == field.label(structure).energy
    with pytest.raises(InputError, match="another molecule"):
        ethanol_field.label(water())
    with pytest.raises(InputError, match="bond orders"):
        ForceField(embedded("[NH4+]").replace(charge=-3))


def harmonic_ring(k, m, T, beads):
    """Variance of a bead of a ring polymer in a harmonic well, for a finite number of beads."""
    kT = BOLTZMANN * T
    # In units of eV/(Å² u): ω_P² of the springs, and ω² of the well.
    spring = (beads * kT / HBAR) ** 2 / 0.00964853321233
    modes = 4 * spring * np.sin(np.pi * np.arange(beads) / beads) ** 2 + k / m
    return kT / m * (1 / modes).sum()


@pytest.mark.slow
@pytest.mark.parametrize("isotope", ["H", "D"])
def test_path_integral_beads_have_the_closed_spread(isotope):
    """i-PI itself runs; the wells are so stiff that quantum and classical spreads differ by far."""
    structure = water() if isotope == "H" else with_isotopes(water(), {"H": "D"})
    k, T, beads = 30.0, 300.0, 8
    frames = samplers.get("path_integral")(
        structure,
        Wells(structure, k),
        300,
        temperature=T,
        seed=1,
        beads=beads,
        warm_up=50.0,
        spacing=4.0,
        friction_time=20.0,
        accept=EVERYTHING,
    )
    assert len(frames) == 300
    moved = np.array([frame.positions - structure.positions for frame in frames])
    mass = masses_of(structure)
    # The frames are centred on the ring polymer's mean over all atoms; atoms are independent, so
    # the difference of the two hydrogens is untouched by that: twice the variance of one.
    spread = ((moved[:, 1] - moved[:, 2]) ** 2).mean() / 2
    assert spread == pytest.approx(harmonic_ring(k, mass[1], T, beads), rel=0.15)
    assert spread > 2.5 * BOLTZMANN * T / k if isotope == "H" else spread > 1.8 * BOLTZMANN * T / k
    quantum = np.sqrt(k / mass[1] * 0.00964853321233) * HBAR
    exact = quantum / 2 / np.tanh(quantum / (2 * BOLTZMANN * T)) / k
    assert harmonic_ring(k, mass[1], T, 512) == pytest.approx(exact, rel=1e-3)


def test_a_failure_inside_path_integrals_ends_them():
    run = partial(samplers.get("path_integral"), beads=2, warm_up=5.0, spacing=5.0)
    assert run(water(), Broken(), 2, temperature=300.0, seed=0).reason == "not converged"
