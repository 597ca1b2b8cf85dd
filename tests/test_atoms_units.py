"""Unit and sign traps: each caught, by the engine and without one; good data pass."""

import numpy as np
import pytest
from ase.build import molecule

from kshot.atoms import Failure, Fingerprint, Labeler, Labelled, Labels, Structure
from kshot.atoms.reading import Units
from kshot.atoms.unit_traps import diagnose_units, require_units, shortest_distances
from kshot.core.errors import OptionError, UnitError
from kshot.core.units import BOHR, HARTREE, KCAL_PER_MOL


class Springs(Labeler):
    """Every pair of bonded atoms is a spring as stiff as bonds to hydrogen are."""

    fingerprint = Fingerprint("springs", "1", "harmonic")

    def __init__(self, name: str, stiffer: float = 1.0, pull: float = 0.0) -> None:
        self.home = molecule(name)
        apart = self.home.get_all_distances()
        self.pairs = np.argwhere(np.triu((apart > 0) & (apart < 1.55), 1))
        self.rest = np.array([apart[i, j] for i, j in self.pairs])
        self.k = 35.0 * stiffer

    def label(self, structure: Structure) -> Labels | Failure:
        x = structure.positions
        if not np.isfinite(x).all() or len(x) != len(self.home):
            return Failure("refused", "another molecule")
        i, j = self.pairs.T
        vectors = x[j] - x[i]
        lengths = np.linalg.norm(vectors, axis=1)
        off = lengths - self.rest
        pulls = (self.k * off / lengths)[:, None] * vectors
        forces = np.zeros_like(x)
        np.add.at(forces, i, pulls)
        np.add.at(forces, j, -pulls)
        return Labels(-4000.0 + 0.5 * self.k * float(off @ off), forces)

    def frames(self, sigma: float = 0.04, count: int = 25, seed: int = 0) -> list[Labelled]:
        rng = np.random.default_rng(seed)
        found = []
        for _ in range(count):
            noise = rng.normal(size=self.home.positions.shape) * sigma
            s = Structure(self.home.numbers, self.home.positions + noise)
            found.append(Labelled(s, self.label(s)))
        return found


def wrong(frames: list[Labelled], energy: str, force: str, length: str = "Å") -> list[Labelled]:
    """As read by somebody who takes them for eV and Å."""
    u = Units(energy, force, length)
    return [
        Labelled(
            s.replace(positions=s.positions / u.length_factor),
            Labels(labels.energy / u.energy_factor, labels.forces / u.force_factor),
        )
        for s, labels in frames
    ]


def verdicts(frames: list[Labelled], reference: Labeler | None = None) -> dict[str, str]:
    return {one.test: one.verdict for one in diagnose_units(frames, reference)}


@pytest.mark.parametrize("name", ["CH3CH2OH", "H2O", "CH3SH", "C6H6", "NH3", "SiH4"])
@pytest.mark.parametrize("sigma", [0.02, 0.06])
def test_good_data_pass(name, sigma):
    engine = Springs(name)
    frames = engine.frames(sigma)
    assert verdicts(frames, Springs(name, stiffer=1.15)) == {
        "forces": "well", "lengths": "well", "bonds": "well", "work": "well",
    } or name in {"SiH4"}  # whose bonds are half as stiff  # fmt: skip
    require_units(frames, engine)


TRAPS = {
    "Hartree/Bohr": ("Hartree", "Hartree/Bohr"),
    "Hartree and eV/Å": ("Hartree", "eV/Å"),
    "eV and Hartree/Bohr": ("eV", "Hartree/Bohr"),
    "kcal/mol": ("kcal/mol", "kcal/mol/Å"),
    "eV and kcal/mol": ("eV", "kcal/mol/Å"),
    "kJ/mol/nm": ("kJ/mol", "kJ/mol/nm"),
    "meV": ("meV", "meV/Å"),
    "gradients": ("eV", "-eV/Å"),
    "SPICE": ("Hartree", "-Hartree/Bohr"),
}


@pytest.mark.parametrize(("energy", "force"), TRAPS.values(), ids=TRAPS)
@pytest.mark.parametrize("reference", [None, Springs("CH3CH2OH")], ids=["alone", "engine"])
def test_traps_are_caught(energy, force, reference):
    frames = wrong(Springs("CH3CH2OH").frames(), energy, force)
    assert "wrong" in verdicts(frames, reference).values()
    with pytest.raises(UnitError, match=r"a\.xyz: .*State the units"):
        require_units(frames, reference, "a.xyz")


def test_slopes_are_those_of_the_units():
    engine = Springs("CH3CH2OH")
    slopes = {}
    for force in ("eV/Å", "Hartree/Bohr", "kcal/mol/Å", "-eV/Å"):
        first = diagnose_units(wrong(engine.frames(), "eV", force), engine)[0]
        assert first.test == "forces"
        slopes[force] = first.slope
    assert slopes["eV/Å"] == pytest.approx(1)
    assert (
        slopes["Hartree/Bohr"] == pytest.approx(BOHR / HARTREE) == pytest.approx(0.0194, abs=1e-4)
    )
    assert slopes["kcal/mol/Å"] == pytest.approx(1 / KCAL_PER_MOL) == pytest.approx(23.06, abs=0.01)
    assert slopes["-eV/Å"] == pytest.approx(-1)


@pytest.mark.parametrize(
    ("energy", "force", "words"),
    [
        ("Hartree", "Hartree/Bohr", "as of Hartree/Bohr"),
        ("kcal/mol", "kcal/mol/Å", "as of kcal/mol/Å"),
        ("eV", "-eV/Å", "gradients, not forces"),
        ("Hartree", "-Hartree/Bohr", "gradients, not forces .*as of Hartree/Bohr"),
    ],
)
def test_the_message_says_what_to_state(energy, force, words):
    engine = Springs("CH3CH2OH")
    with pytest.raises(UnitError, match=words):
        require_units(wrong(engine.frames(), energy, force), engine)


def test_the_work_of_harmonic_forces_is_the_energy_difference():
    # Two atoms on a line, where a spring is harmonic however far it is stretched.
    engine = Springs("H2")
    frames = []
    for length in np.linspace(0.6, 0.9, 9):
        s = Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, length]]))
        frames.append(Labelled(s, engine.label(s)))
    work = {one.test: one for one in diagnose_units(frames)}["work"]
    assert work.slope == pytest.approx(1, abs=1e-12)


def test_turning_the_molecule_changes_nothing():
    from scipy.spatial.transform import Rotation

    engine = Springs("CH3CH2OH")
    turned = []
    for seed, (s, labels) in enumerate(engine.frames()):
        r = Rotation.random(random_state=seed).as_matrix()
        turned.append(
            Labelled(
                s.replace(positions=s.positions @ r + seed),
                Labels(labels.energy, labels.forces @ r),
            )
        )
    for one, other in zip(diagnose_units(engine.frames()), diagnose_units(turned), strict=True):
        assert one.slope == pytest.approx(other.slope)


def test_positions_in_bohr():
    frames = Springs("CH3CH2OH").frames()
    assert verdicts(wrong(frames, "eV", "eV/Å", "Bohr"))["lengths"] == "wrong"
    with pytest.raises(UnitError, match="length_unit"):
        require_units(wrong(frames, "eV", "eV/Å", "Bohr"))


def test_shuffled_forces_are_no_unit():
    engine = Springs("CH3CH2OH")
    rng = np.random.default_rng(0)
    frames = [
        Labelled(s, Labels(labels.energy, rng.permutation(labels.forces)))
        for s, labels in engine.frames()
    ]
    first = diagnose_units(frames, engine)[0]
    assert first.verdict == "unclear"
    assert "order of atoms" in first.words


def test_too_little_to_tell():
    engine = Springs("CH3CH2OH")
    assert set(verdicts([]).values()) == {"unclear"}
    assert verdicts(engine.frames(count=1))["work"] == "unclear"
    other = Springs("H2O").frames()
    assert "labelled no frame" in diagnose_units(other, engine)[0].words
    same = engine.frames(count=1) * 5
    assert verdicts(same)["work"] == verdicts(same)["bonds"] == "unclear"
    require_units(same)


def test_anharmonic_or_distant_frames_are_not_refused():
    engine = Springs("CH3CH2OH")
    require_units(engine.frames(sigma=0.2), engine)


def test_shortest_distances():
    atoms = molecule("H2O")
    ratios = shortest_distances(Structure(atoms.numbers, atoms.positions))
    np.testing.assert_allclose(ratios, 0.9686 / (0.66 + 0.31), atol=2e-3)
    assert shortest_distances(Structure(np.array([1]), np.zeros((1, 3)))).shape == (0,)


def test_unit_factors():
    spice = Units("Hartree", "-Hartree/Bohr", "Bohr")
    assert spice.energy_factor == HARTREE
    assert spice.force_factor == pytest.approx(-51.422067, abs=1e-5)
    assert spice.length_factor == BOHR
    assert Units("KCAL/MOL", "kJ/mol/nm").force_factor == pytest.approx(0.0010364, abs=1e-7)
    for bad in (Units, lambda e: Units(force=e), lambda e: Units(length=e)):
        with pytest.raises(OptionError, match="Known"):
            bad("furlong")
