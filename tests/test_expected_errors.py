"""What is promised: errors corrected for having been chosen by, and curves that may rise."""

import numpy as np
import pytest

from kshot.core.seeds import named_generator
from kshot.fewshot import scales
from kshot.fewshot.adapt import adapt, notes_of, to_pieces
from kshot.fewshot.adapters import adapters
from kshot.fewshot.adapters.base import Candidate
from kshot.fewshot.adapters.linear import SCALES, STEPS
from kshot.fewshot.anchors import Drift
from kshot.fewshot.curve import FEWEST, learning_curve
from kshot.fewshot.expected import expected
from kshot.fewshot.folds import Fitted, cross_validated
from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import Fit, Gram, Prior, Score, gram, score
from kshot.fewshot.scales import promising
from kshot.fewshot.shots import shots
from kshot.pipeline.page import extrapolated, forgotten, sentence
from test_adapt import labelled, own, start

ATOMS, WAYS = 6, 9


def linear(frames: int, size: float = 1.0, slope: float = 1.0) -> Rows:
    """Frames of a linear model: parameters off by `size`, few of which matter much, and noise."""
    rng, each, parameters = np.random.default_rng(3), 1 + WAYS, 200
    spectrum = slope / np.arange(1, parameters + 1)
    jacobian = (rng.standard_normal((frames * each, parameters)) * spectrum).astype(np.float32)
    residual = jacobian @ (size * rng.standard_normal(parameters))
    residual += 0.1 * rng.standard_normal(len(residual))
    return Rows(
        jacobian,
        residual,
        np.repeat(np.arange(frames), each),
        np.arange(frames * each) % each == 0,
        np.full((frames, 1), float(ATOMS)),
        (np.zeros((WAYS, ATOMS, 3)),) * frames,
    )


def problem(rows: Rows) -> Gram:
    return gram(rows, Prior(np.ones(rows.jacobian.shape[1])))


@pytest.mark.parametrize(("size", "slope"), [(10.0, 1.0), (3e-4, 3e3)])
def test_the_best_scale_lies_inside_the_grid(size, slope):
    # it is about the square of the size: beyond either end of what used to be tried.
    whole = problem(linear(16, size=size, slope=slope))
    best = next(promising(whole, SCALES)).factor
    assert best > 1.0 if size > 1.0 else best < 1e-5
    assert min(SCALES) < best < max(SCALES)
    errors = [score(whole.rows, whole.solve(one).left_out()).together for one in SCALES]
    assert best == SCALES[int(np.argmin(errors))]


def test_what_is_far_from_the_best_scale_is_not_solved(monkeypatch):
    solved = []
    solve = Gram.solve

    def counted(self: Gram, factor: float = 1.0):
        solved.append(factor)
        return solve(self, factor)

    monkeypatch.setattr(Gram, "solve", counted)
    next(promising(problem(linear(12)), SCALES))
    assert len(solved) <= scales.PATIENCE + 4


def test_scales_below_the_preferred_follow_in_order():
    factors = [solved.factor for solved in promising(problem(linear(8)), SCALES)]
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == min(SCALES)


def test_guards_that_were_hit_are_named():
    candidate = Candidate(adapters.get("meta"), 0.1, 3, Score(0.1, 0.1))
    assert candidate.limits == ()
    assert candidate._replace(factor=SCALES[-1]).limits == ("scale",)
    assert candidate._replace(factor=SCALES[0], steps=STEPS).limits == ("scale", "steps")
    assert Candidate(adapters.get("shift"), 1.0, 1, Score(0.1, 0.1)).limits == ()
    notes = list(notes_of(candidate._replace(factor=SCALES[-1], steps=STEPS), 20))
    assert [note for note in notes if "edge" in note]
    assert [note for note in notes if str(STEPS) in note]


def test_steps_go_on_until_two_in_a_row_do_not_help():
    model, frames = start(), labelled(3)
    rows = own(model, frames)
    asked, still = shots(model, to_pieces(model, frames), rows), Fit(np.zeros(9), np.zeros(3))
    sizes = [8.0, 4.0, 4.4, 2.0, 1.0, 1.0, 1.0, 0.1]  # one bad step is forgiven, two are the end

    steps = ([Fitted(still, size * np.ones(len(rows.frame)))] for size in sizes)
    errors = cross_validated(asked, [np.arange(3)], steps)
    assert [round(error.energy, 6) for error in errors] == sizes[:7]


def test_the_least_of_many_noisy_energies_is_no_promise():
    # twenty ways of one true error; five energies each; the luckiest is what is chosen by.
    rng = named_generator(0, "luck")
    true, forces, atoms, labels = 0.04, 0.09, 20.0, 5
    draws = true * np.sqrt(np.mean(rng.standard_normal((200, 20, labels)) ** 2, axis=2))
    luckiest = draws.min(axis=1)
    assert np.median(luckiest) < 0.6 * true
    promised = [expected(Score(least, forces), labels, atoms).energy for least in luckiest]
    assert 0.7 < np.median(promised) / true < 1.4
    assert np.all(np.array(promised) >= luckiest)
    assert np.mean(np.abs(np.log(np.array(promised) / true)) < np.log(1.5)) > 0.9


def test_expected_errors_have_intervals_and_scale_with_what_they_are_made_of():
    one = expected(Score(0.04, 0.08), 20, 20.0)
    assert one.energy_low < one.energy < one.energy_high
    assert one.forces_low < one.forces < one.forces_high
    tenth = expected(Score(0.004, 0.008), 20, 20.0)
    np.testing.assert_allclose(np.array(tenth) * 10, np.array(one))
    assert expected(Score(0.02, 0.08), 1000, 20.0) == expected(Score(0.02, 0.08), 50, 20.0)
    # few labels lean on forces; from twenty on, energies speak for themselves.
    rise = [
        expected(Score(0.08, 0.08), k, 20.0).energy / expected(Score(0.04, 0.08), k, 20.0).energy
        for k in (5, 50)
    ]
    assert 1.0 <= rise[0] < 1.3
    assert rise[1] == pytest.approx(2.0)


def test_energies_that_are_all_wrong_are_believed():
    assert expected(Score(2.0, 0.01), 50, 20.0).energy > 1.5
    alone = expected(Score(0.1, float("nan")), 20, 20.0)
    assert alone.energy == 0.1
    assert np.isnan(alone.forces)


def test_a_curve_goes_through_what_is_expected_and_may_rise(monkeypatch):
    rows = linear(16)
    solved, chosen = problem(rows).solve(1.0), Score(0.5, 0.3)
    curve = learning_curve(solved, chosen, 0)
    assert [point.labels for point in curve] == [4, 8, 16, 32, 64]
    assert [point.extrapolated for point in curve] == [False, False, False, True, True]
    goal = expected(chosen, 16, float(ATOMS))
    np.testing.assert_allclose(curve[2].energy, goal.energy)
    np.testing.assert_allclose(curve[2].forces, goal.forces)
    assert curve[4].forces < curve[3].forces < curve[2].forces
    for point in curve:
        assert point.energy_low < point.energy < point.energy_high
    wide = [np.log(point.forces_high / point.forces_low) for point in curve[2:]]
    assert wide[0] < wide[1] < wide[2]

    def worse_with_more(frames):
        return Score(0.01 * len(frames), 0.01 * len(frames))

    monkeypatch.setattr(
        "kshot.fewshot.least_squares.Solved.score_of", lambda _, frames: worse_with_more(frames)
    )
    rising = learning_curve(solved, chosen, 0)
    assert rising[4].forces > rising[3].forces > rising[2].forces
    assert rising[3].energy > rising[2].energy


def test_a_part_of_the_labels_has_the_errors_of_a_problem_of_its_own():
    rows, anchors = linear(6), linear(3)
    whole = gram(rows, Prior(np.ones(200)), anchors)
    part = [4, 0, 2]
    again = whole.of(part).solve(0.1)
    want = score(again.problem.rows, again.left_out())
    np.testing.assert_allclose(whole.solve(0.1).score_of(part), want, rtol=1e-3)


def record_of(labels: int) -> dict:
    adapted = adapt(start(), labelled(labels), methods=("shift", "uniform"))
    return {"labels": labels, "level": "", **adapted.summary()}


def test_three_labels_promise_nothing():
    record = record_of(3)
    assert extrapolated(record) == []
    assert not any(point["extrapolated"] for point in record["curve"])
    assert [note for note in record["notes"] if "3 are too few" in note]


def test_words_say_what_is_expected_and_what_is_extrapolated():
    record = record_of(FEWEST)
    (line,) = extrapolated(record)
    assert line.startswith("extrapolated: with 16 labels ")
    assert " to " in line  # an interval
    chosen = record["chosen"]
    assert f"energy {1e3 * chosen['expected_energy_rmse_eV']:.1f} (" in sentence(record)
    assert "another conformer" in sentence(record)
    assert chosen["expected_energy_rmse_eV"] != chosen["cv_energy_rmse_eV"]
    alone = {**record, "candidates": [record["candidates"][0]], "chosen": record["candidates"][0]}
    assert "did best" not in sentence(alone)
    assert "the only one that was tried" in sentence(alone)


def test_what_is_forgotten_is_a_factor_and_a_warning():
    drift = Drift(0.1, 0.186, 0.01, 0.02)
    warning = drift.warning(keep=1.0)
    assert warning is not None
    assert "×1.86" in warning
    assert "--keep 10" in warning
    assert Drift(0.1, 0.12, 0.01, 0.02).warning(keep=1.0) is None
    assert "×1.86" in forgotten({"drift": drift.summary()})[0]
    assert forgotten({"drift": None}) == []
