"""Wigner and normal-mode sampling against the closed forms of the harmonic oscillator."""

import numpy as np
import pytest

from kshot.atoms import Failure
from kshot.core.errors import InputError
from kshot.core.units import BOLTZMANN, HBAR, INVERSE_CM
from kshot.families.samplers import curvature, masses_of, modes, relax, samplers, with_isotopes
from kshot.families.samplers.accept import EVERYTHING
from kshot.families.samplers.geometry import bonds, distances
from kshot.families.samplers.hessian import differences
from kshot.families.samplers.internals import Internals
from samplers_engines import Broken, Gfn2, Wells, embedded, water

DRAWS = 3000


@pytest.fixture(scope="module")
def gfn2_water():
    """GFN2's minimum and Hessian of water."""
    return curvature(water(), Gfn2())


@pytest.fixture(scope="module")
def gfn2_ethanol():
    """GFN2's minimum and Hessian of ethanol."""
    return curvature(embedded("CCO"), Gfn2())


def waters(isotope):
    return with_isotopes(water(), {"H": isotope}) if isotope == "D" else water()


def drawn(name, structure, known, T, n=DRAWS, **options):
    options = {"coordinates": "cartesian", "accept": EVERYTHING, "seed": 0} | options
    frames = samplers.get(name)(structure, None, n, temperature=T, known=known, **options)
    return np.array([frame.positions for frame in frames])


def expect_mean(values, wanted, sigmas=4.5):
    """The mean of independent values is what it should be, within its own standard error."""
    error = np.std(values, axis=0, ddof=1) / np.sqrt(len(values))
    assert np.all(np.abs(np.mean(values, axis=0) - wanted) <= sigmas * error + 1e-12)


@pytest.mark.parametrize("T", [0.0, 300.0])
@pytest.mark.parametrize("isotope", ["H", "D"])
def test_wigner_sampling_of_water_has_the_closed_forms(gfn2_water, isotope, T):
    structure = waters(isotope)
    positions = drawn("wigner", structure, gfn2_water, T)
    # Written out afresh: mean V of a mode is ħω/4 coth(ħω/2kT), its amplitude's variance ħ/2ω coth.
    mass = np.repeat(masses_of(structure), 3)
    eigenvalues, vectors = np.linalg.eigh(gfn2_water.hessian / np.sqrt(np.outer(mass, mass)))
    quanta = HBAR * np.sqrt(eigenvalues[6:] * 0.00964853321233)
    coth = 1 / np.tanh(quanta / (2 * BOLTZMANN * T)) if T else np.ones(3)
    potential = (quanta / 4 * coth).sum()
    amplitudes = vectors[:, 6:] / np.sqrt(mass)[:, None]
    variance = amplitudes**2 @ (2 * (quanta / 4 * coth) / eigenvalues[6:])

    expect_mean(gfn2_water.energies(positions), potential)
    moved = (positions - gfn2_water.structure.positions).reshape(DRAWS, 9)
    expect_mean(moved**2, variance)
    expect_mean(moved, 0.0)
    spread = np.var(gfn2_water.energies(positions))
    assert spread == pytest.approx((2 * (quanta / 4 * coth) ** 2).sum(), rel=0.1)


def test_heavy_water_is_narrower_and_lower_by_the_ratio_of_its_frequencies(gfn2_water):
    light, heavy = (modes(gfn2_water, masses_of(waters(x))) for x in "HD")
    # Teller and Redlich's product rule: frequencies of a bent XY2 molecule, from masses and
    # moments of inertia alone.
    ratio = np.prod(light.quanta / heavy.quanta)
    total, inertia = (
        [f(waters(x)) for x in "HD"]
        for f in (
            lambda s: masses_of(s).sum(),
            lambda s: np.prod(moments(masses_of(s), gfn2_water.structure.positions)),
        )
    )
    m, d = masses_of(waters("H"))[1], masses_of(waters("D"))[1]
    rule = (d / m) ** 3 * (total[0] / total[1]) ** 1.5 * np.sqrt(inertia[0] / inertia[1])
    assert ratio == pytest.approx(rule, rel=1e-5)
    wide, narrow = (m.covariance(0.0, "quantum").diagonal() for m in (light, heavy))
    narrower = narrow / wide
    assert np.all(narrower[[4, 5, 7, 8]] < 0.76)
    assert np.all(narrower[[4, 5, 7, 8]] > np.sqrt(m / d) - 0.15)


def moments(m, R):
    """Principal moments of inertia, in u Å²."""
    R = R - (m[:, None] * R).sum(0) / m.sum()
    second = np.einsum("a,ai,aj->ij", m, R, R)
    return np.linalg.eigvalsh(np.trace(second) * np.eye(3) - second)


def test_modes_and_hessian_agree_with_ase(gfn2_water, tmp_path):
    from ase import Atoms
    from ase.vibrations import Vibrations

    from kshot.families.samplers.base import Surface
    from kshot.families.samplers.relax import _calculator

    rest = gfn2_water.structure
    atoms = Atoms(rest.numbers, rest.positions)
    atoms.calc = _calculator(Surface(rest, Gfn2()))
    vibrations = Vibrations(atoms, name=str(tmp_path / "vibrations"), delta=0.005)
    vibrations.run()
    hessian = vibrations.get_vibrations().get_hessian_2d()
    assert np.abs(hessian - gfn2_water.hessian).max() < 1e-3 * np.abs(hessian).max()
    wavenumbers = vibrations.get_frequencies()[6:].real
    assert modes(gfn2_water).wavenumbers == pytest.approx(wavenumbers, abs=1.0)


def test_differences_give_a_known_hessian():
    structure = water()
    assert differences(structure, Wells(structure, 7.0)) == pytest.approx(7.0 * np.eye(9), abs=1e-6)


def test_rigid_motions_are_projected_out_also_of_linear_molecules_and_atoms(gfn2_water):
    found = modes(gfn2_water)
    root = np.repeat(masses_of(water()), 3)
    centre = (found.displacements * root).reshape(3, 3, 3).sum(1)
    assert np.abs(centre).max() < 1e-10
    R, m = gfn2_water.structure.positions, masses_of(water())[:, None]
    R = R - (m * R).sum(0) / m.sum()
    turning = np.cross(R, m * found.displacements.reshape(3, 3, 3)).sum(1)
    assert np.abs(turning).max() < 1e-10
    line = curvature(embedded("C#C"), Gfn2())
    assert len(modes(line).quanta) == 3 * 4 - 5
    assert modes(line).wavenumbers[0] > 400


def test_the_classical_limit_has_half_kT_in_each_mode(gfn2_ethanol):
    T = 400.0
    positions = drawn("normal_modes", embedded("CCO"), gfn2_ethanol, T, n=3000)
    found = modes(gfn2_ethanol)
    moved = (positions - gfn2_ethanol.structure.positions).reshape(3000, -1)
    mass = np.repeat(masses_of(embedded("CCO")), 3)
    amplitudes = moved @ (found.displacements * mass).T
    omega2 = (found.quanta / HBAR) ** 2 / 0.00964853321233
    assert len(omega2) == 3 * 9 - 6
    expect_mean(0.5 * omega2 * amplitudes**2, BOLTZMANN * T / 2)


def test_quantum_statistics_become_classical_when_hot(gfn2_water):
    found = modes(gfn2_water)
    hot = found.potential_energies(30000.0, "quantum")
    assert hot == pytest.approx(found.potential_energies(30000.0, "classical"), rel=3e-3)
    assert found.potential_energies(0.0, "quantum") == pytest.approx(found.quanta / 4)


def test_curvilinear_draws_begin_as_the_straight_ones_and_keep_methyl_groups_whole(gfn2_ethanol):
    rest = gfn2_ethanol.structure
    internals, found = Internals(rest), modes(gfn2_ethanol)
    small = found.draw(1, 1e-3, "classical", np.random.default_rng(0))[0]
    assert np.abs(internals.bend(small) - small).max() < 1e-2 * np.abs(small).max()
    torsion = found.displacements[0].reshape(-1, 3)
    turned = torsion * 0.8 / np.abs(torsion).max()
    bonded = bonds(rest.numbers, rest.positions)
    before = distances(rest.positions)[bonded]
    straight, curved = (
        np.abs(distances(rest.positions + moved)[bonded] - before).max()
        for moved in (turned, internals.bend(turned))
    )
    assert straight > 0.15
    assert curved < 0.02
    assert np.linalg.norm(internals.bend(turned)) > 0.7 * np.linalg.norm(turned)


@pytest.mark.parametrize("smiles", ["CC#N", "C=O", "c1ccccc1", "N", "O=C=O", "CC(=O)NC"])
def test_derivatives_of_internal_coordinates(smiles, rng):
    structure = embedded(smiles)
    internals = Internals(structure)
    R = structure.positions + 0.02 * rng.standard_normal(structure.positions.shape)
    _, slope = internals._measure(R)
    step = 1e-5
    for i in range(R.size):
        moved = np.zeros(R.size)
        moved[i] = step
        ahead, behind = (internals._measure(R + s * moved.reshape(-1, 3))[0] for s in (1, -1))
        change = (ahead - behind + np.pi) % (2 * np.pi) - np.pi
        assert change / (2 * step) == pytest.approx(slope[:, i], abs=1e-6)


def test_curvilinear_draws_are_nearer_to_the_wanted_energy(gfn2_ethanol):
    engine, T = Gfn2(), 300.0
    energies = {}
    for coordinates in ("cartesian", "internal"):
        options = {"coordinates": coordinates, "accept": EVERYTHING, "seed": 3, "n": 60}
        R = drawn("normal_modes", embedded("CCO"), gfn2_ethanol, T, **options)
        found = [engine.label(gfn2_ethanol.structure.replace(positions=x)).energy for x in R]
        energies[coordinates] = np.mean(found) - gfn2_ethanol.energy
    wanted = modes(gfn2_ethanol).potential_energies(T, "classical").sum()
    assert energies["internal"] == pytest.approx(wanted, rel=0.15)
    assert energies["cartesian"] > 1.15 * wanted


def test_far_torsions_are_followed_around_or_refused():
    structure, engine = embedded("CCN=C=O"), Gfn2()  # the torsion about C-N reaches half a turn
    known = curvature(structure, engine)
    R = drawn("wigner", structure, known, 300.0, n=40, coordinates="internal")
    energies = [engine.label(structure.replace(positions=x)).energy - known.energy for x in R]
    wanted = modes(known).potential_energies(300.0, "quantum").sum()
    assert np.mean(energies) == pytest.approx(wanted, rel=0.15)
    assert max(energies) < 4 * wanted
    absurd = 5.0 * np.random.default_rng(0).standard_normal(structure.positions.shape)
    assert Internals(known.structure).bend(absurd) is None


def test_saddle_points_are_left_by_themselves():
    flat = embedded("N")
    positions = np.array(flat.positions)
    around = positions[1:] - positions[1:].mean(0)
    normal = np.linalg.svd(around)[2][2]
    planar = positions - np.outer((positions - positions[1:].mean(0)) @ normal, normal)
    assert modes(curvature(flat.replace(positions=planar), Gfn2())).wavenumbers[0] > 500


def test_hessians_are_kept_and_serve_all_isotopes(tmp_path):
    engine = Gfn2()
    first = curvature(water(), engine, folder=tmp_path)
    calls = engine.calls
    again = curvature(waters("D"), engine, folder=tmp_path)
    assert engine.calls == calls > 18
    assert np.array_equal(first.hessian, again.hessian)
    assert np.array_equal(again.structure.masses, waters("D").masses)
    next(tmp_path.iterdir()).write_bytes(b"half a file")
    assert np.allclose(curvature(water(), engine, folder=tmp_path).hessian, first.hessian)
    assert engine.calls == 2 * calls


def test_failures_are_values_and_wrong_requests_are_errors(gfn2_water):
    wigner = samplers.get("wigner")
    failure = Failure("not converged", "SCF: 250 cycles")
    assert wigner(water(), Broken(), 3, temperature=300.0, seed=0) == failure
    assert relax(water(), Broken()) == failure
    assert relax(water(), Gfn2(), steps=1).reason == "not converged"
    with pytest.raises(InputError, match="labeler"):
        wigner(water(), None, 3, temperature=300.0, seed=0)
    with pytest.raises(InputError, match="another molecule"):
        wigner(embedded("C"), None, 3, temperature=300.0, seed=0, known=gfn2_water)
    with pytest.raises(InputError, match="0 K"):
        samplers.get("normal_modes")(water(), Gfn2(), 3, temperature=0.0, seed=0)


def test_a_soft_mode_moves_as_if_it_were_stiffer(gfn2_water):
    soft = modes(gfn2_water, soft=2000.0)
    plain = modes(gfn2_water)
    capped, free = (m.variances(300.0, "classical") for m in (soft, plain))
    assert capped[1:] == pytest.approx(free[1:])
    assert capped[0] / free[0] == pytest.approx((plain.quanta[0] / (2000 * INVERSE_CM)) ** 2)
