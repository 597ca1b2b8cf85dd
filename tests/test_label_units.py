"""Units that a start tells: every slip is refused by name, and no honest label is."""

from pathlib import Path

import numpy as np
import pytest

from kshot.atoms import Labelled, Labels
from kshot.atoms.files import read_labelled
from kshot.core.errors import UnitError
from kshot.core.units import BOHR, HARTREE, KCAL_PER_MOL, KJ_PER_MOL
from kshot.labelers import labeler
from kshot.pipeline.label_units import judge_energies, judge_forces, unit_by_sums
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path

FRAMES = Path(__file__).parent.parent / "benchmarks" / "fewshot"
LEVEL = sorted((FRAMES / "level").glob("*.extxyz"))  # ωB97X-D3(BJ)/def2-SVP
DEVELOPMENT = sorted((FRAMES / "frames" / "development").glob("*.extxyz.xz"))  # GFN2
ALLOW = {"charges", "multiplicities", "levels"}
FEW, MANY = 5, 12


@pytest.fixture(scope="module")
def start():
    return load(start_path("bio-small"))


@pytest.fixture(scope="module")
def honest(start) -> dict[str, tuple[list[Labelled], list[Labels]]]:
    """Labelled frames of development families at two levels, with what the start predicts."""
    assert LEVEL, "no labelled frames: every test of them would pass"
    assert DEVELOPMENT, "no labelled frames: every test of them would pass"
    sets, gfn2 = {}, labeler("gfn2")
    for path in LEVEL:
        frames = list(read_labelled(path))[:: max(1, 35 // MANY)][:MANY]
        sets[f"{path.stem}, DFT"] = frames
        sets[f"{path.stem}, GFN2"] = [Labelled(s, gfn2.label(s)) for s, _ in frames]
    for path in DEVELOPMENT:
        frames = list(read_labelled(path))
        sets[f"{path.stem}, frames"] = frames[:: max(1, len(frames) // MANY)][:MANY]
    return {
        name: (frames, start.predict([frame.structure for frame in frames], allow=ALLOW))
        for name, frames in sets.items()
    }


def judged(frames, predicted, e0s, count, energy=1.0, forces=1.0) -> list[str]:
    scaled = [Labelled(s, Labels(one.energy * energy, one.forces * forces)) for s, one in frames]
    scaled, predicted = scaled[:count], predicted[:count]
    return judge_forces(scaled, predicted) + judge_energies(scaled, predicted, e0s)


@pytest.mark.parametrize("count", [2, 3, FEW, MANY])
def test_honest_labels_pass(honest, start, count):
    for frames, predicted in honest.values():
        assert judged(frames, predicted, start.e0s, count) == []


SLIPS = {
    "Hartree/Bohr": (BOHR / HARTREE, "Hartree/Bohr"),
    "kcal/mol/Å": (1 / KCAL_PER_MOL, "kcal/mol/Å"),
    "kJ/mol/Å": (1 / KJ_PER_MOL, "kJ/mol/Å"),
    "Hartree/Å": (1 / HARTREE, "Hartree/Å"),
    "eV/Bohr": (BOHR, "eV/Bohr"),
    "divided by Bohr": (1 / BOHR, "divided by the Bohr radius"),
    "doubled": (2.0, "doubled"),
    "gradients": (-1.0, "gradients"),
    "gradients in Hartree/Bohr": (-BOHR / HARTREE, "gradients instead of forces in Hartree/Bohr"),
}


def verdict(frames, predicted, e0s, count, **scales) -> str:
    """What a user is told of scaled labels: the refusal, the doubts, or nothing."""
    try:
        return "\n".join(judged(frames, predicted, e0s, count, **scales))
    except UnitError as error:
        return f"refused: {error}"


def check_verdicts(verdicts: list[str], name: str, share: float) -> None:
    """Nearly all slips are refused, by the name of the unit."""
    refused = [text for text in verdicts if text.startswith("refused") and name in text]
    assert len(refused) >= share * len(verdicts), verdicts


@pytest.mark.parametrize("slip", SLIPS)
def test_forces_in_other_units_are_refused_by_name(honest, start, slip):
    factor, name = SLIPS[slip]
    verdicts = [
        verdict(frames, predicted, start.e0s, count, forces=factor)
        for frames, predicted in honest.values()
        for count in (FEW, MANY)
    ]
    # energies of a start that is rough may chance to be off as much as doubled forces.
    assert all(verdicts)  # none passes without a word
    check_verdicts(verdicts, name, 0.85)


@pytest.mark.parametrize(
    ("factor", "name"),
    [(1 / HARTREE, "Hartree"), (1 / KCAL_PER_MOL, "kcal/mol"), (1 / KJ_PER_MOL, "kJ/mol")],
)
@pytest.mark.parametrize("count", [2, FEW, MANY])
def test_energies_in_other_units_are_refused_by_name(honest, start, factor, name, count):
    verdicts = [
        verdict(frames, predicted, start.e0s, count, energy=factor)
        for frames, predicted in honest.values()
    ]
    # two frames of almost one energy say little of its unit.
    check_verdicts(verdicts, f"look like {name}", 0.85 if count > 2 else 0.7)


@pytest.mark.parametrize(  # differences tell no factor of two
    ("factor", "name"), [(1 / HARTREE, "Hartree|Rydberg"), (1 / KCAL_PER_MOL, "kcal")]
)
def test_energies_less_those_of_atoms_are_judged_by_their_differences(honest, start, factor, name):
    for frames, predicted in honest.values():
        lowered = [
            Labelled(s, Labels(one.energy - frames[0].labels.energy - 3.0, one.forces))
            for s, one in frames
        ]
        assert judged(lowered, predicted, start.e0s, MANY) == []
        with pytest.raises(UnitError, match=name):
            judged(lowered, predicted, start.e0s, MANY, energy=factor)


def test_where_little_can_be_said_the_user_is_told(honest, start):
    frames, predicted = honest["uracil, GFN2"]
    [doubt] = judged(frames, predicted, start.e0s, MANY, forces=1.5)
    assert "doubled 2 times" in doubt
    [doubt] = judged(frames, predicted, start.e0s, MANY, forces=1.8, energy=1.8)
    assert "and so are energies" in doubt
    noise = np.random.default_rng(0).standard_normal((MANY, len(frames[0].structure), 3))
    strange = [
        Labelled(s, Labels(one.energy, 50 * wrong))
        for (s, one), wrong in zip(frames, noise, strict=True)
    ]
    [doubt] = judge_forces(strange, predicted)
    assert "are they of these structures" in doubt


def test_totals_of_unknown_methods_say_nothing(honest, start):
    frames, _ = honest["uracil, GFN2"]
    structures = [frame.structure for frame in frames]
    totals = np.array([frame.labels.energy for frame in frames])
    assert unit_by_sums(structures, totals / HARTREE, start.e0s) == "Hartree"
    # 0.6 of GFN2 chances to be what all electrons are in Hartree: differences contradict it
    assert unit_by_sums(structures, 0.6 * totals, start.e0s) == "Hartree"
    predicted = honest["uracil, GFN2"][1]
    shifted = [Labelled(s, Labels(one.energy - 0.4 * totals[0], one.forces)) for s, one in frames]
    assert judge_energies(shifted[:2], predicted[:2], start.e0s) == []
    assert judge_energies(shifted, predicted, start.e0s) == []
    for other in (0.3 * totals, totals - totals.mean(), -totals):
        assert unit_by_sums(structures, other, start.e0s) == ""
