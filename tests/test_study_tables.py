"""Statistics and tables of a study: what is averaged, what is compared, and in which words."""

import numpy as np
import pytest

from kshot.pipeline.study.run import Study
from kshot.pipeline.study.statistics import (
    Case,
    errors,
    forgotten,
    interval,
    labels_needed,
    ratio,
    trust,
)
from kshot.pipeline.study.tables import page
from kshot.pipeline.study.words import score, sentences

CASE = Case("test-same", 5, "energy")


def row(method: str, family: str, draw: int, energy: float, **more) -> dict:
    return {
        "method": method,
        "family": family,
        "draw": draw,
        "k": 5,
        "test": "test-same",
        "energy": energy,
        "forces": 2 * energy,
        "shares": False,
        "code": "abc",
        "libraries": "jax 1",
        **more,
    }


def rows(method: str, factor: float, seed: int, **more) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        row(method, family, draw, base * factor * np.exp(0.05 * rng.standard_normal()), **more)
        for family, base in {"a": 0.01, "b": 0.03, "c": 0.1}.items()
        for draw in range(4)
    ]


def test_an_interval_covers_its_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for trial in range(60):
        families = 5.0 + rng.standard_normal(20)
        groups = [(center + 0.5 * rng.standard_normal(5)).tolist() for center in families]
        low, high = interval(groups, seed=trial)[1:3]
        held += low < 5.0 < high
    assert 50 <= held <= 60


def test_families_count_alike_whatever_their_number_of_draws():
    found = interval([[1.0, 1.0, 1.0, 1.0], [3.0]])
    assert found.mean == 2.0
    assert (found.low, found.high) == (1.0, 3.0)
    assert found.families == 2


def test_one_value_has_no_interval():
    found = interval([[2.0]])
    assert found.mean == 2.0
    assert np.isnan(found.low)
    assert np.isnan(interval([]).mean)


def test_draws_widen_an_interval():
    narrow = interval([[1.0, 1.0], [2.0, 2.0]])
    wide = interval([[0.0, 2.0], [1.0, 3.0]])
    assert wide.mean == narrow.mean
    assert wide.high > narrow.high


def test_a_ratio_is_of_the_same_families_and_draws():
    table = [
        row("kshot", "a", 0, 0.01),
        row("kshot", "a", 1, 9.0),  # no such draw of the other
        row("kshot", "b", 0, 9.0),  # no such family
        row("shift", "a", 0, 0.025),
    ]
    found = ratio(table, "shift", "kshot", CASE)
    assert found.mean == pytest.approx(2.5)
    assert found.families == 1


def test_who_wins_is_said_of_intervals():
    table = [*rows("kshot", 1.0, 0), *rows("shift", 2.0, 1), *rows("meta", 0.5, 2)]
    table += rows("uniform", 1.0, 0)
    assert score(table, "shift", "test-same", "energy") == ([5], [], [])
    assert score(table, "meta", "test-same", "energy") == ([], [5], [])
    assert score(table, "uniform", "test-same", "energy") == ([], [], [5])
    text = "\n".join(sentences(table, "test-same"))
    assert "zero-shot + shift (plain baseline): energy: kshot is better at K = 5." in text
    assert "learned variances: energy: kshot is worse at K = 5." in text
    assert "one variance (plain baseline): energy: no difference is shown at K = 5." in text


def test_stated_errors_are_compared_with_true_ones():
    stated = [0.01, 0.02, 0.04, 0.08]
    table = [row("kshot", "a", n, 0.04, expected_energy=e) for n, e in enumerate(stated)]
    found = trust(table, "kshot", CASE)
    assert found is not None
    assert found.median == pytest.approx(0.75)
    assert found.within == 0.25
    assert np.isnan(found.inside)
    ends = {"expected_energy_low": 0.01, "expected_energy_high": 0.05}
    wide = trust([{**entry, **ends} for entry in table], "kshot", CASE)
    assert wide is not None
    assert wide.inside == 1.0
    assert trust(table, "kshot", CASE._replace(quantity="forces")) is None


def test_what_is_forgotten_counts_once_for_all_test_sets():
    table = [
        row("kshot", "a", 0, 0.1, drift=[0.1, 0.2], test=test)
        for test in ("test-same", "test-conformer")
    ] + [row("kshot", "b", 0, 0.1, drift=[0.1, 0.8])]
    found = forgotten(table, "kshot", 5)
    assert found is not None
    assert found.mean == pytest.approx(4.0)
    assert found.most == pytest.approx(8.0)
    assert forgotten(table, "shift", 5) is None


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ({5: 11.0, 10: 9.0}, "≤ 5"),
        ({5: 55.0, 10: 45.0, 20: 25.0}, "20"),
        ({5: 20.0, 10: 60.0}, "> 10"),  # what holds at five by chance does not count
    ],
)
def test_labels_needed_are_those_from_which_on_the_error_stays_below(means, words):
    assert labels_needed(means, 43.4) == words


def test_a_page_keeps_test_sets_and_versions_apart():
    more = {"chose": "uniform", "edge": ["most steps"], "drift": [0.1, 0.15]}
    table = rows("kshot", 1.0, 0, **more) + rows("shift", 2.0, 1)
    table += [{**entry, "test": "test-conformer", "energy": 5.0} for entry in table]
    old = [{**entry, "code": "older", "energy": 0.777} for entry in table]
    text = page(Study(table, old), "A title", ["By a command."])
    current, older = text.split("# Older results, not to be compared: code `older`")
    assert "777.0" not in current
    assert "777.0" in older
    assert current.count("### Energy RMSE, meV") == 2
    assert "5000.0 [5000.0, 5000.0], 115.30 kcal/mol" in current
    assert errors(table, "kshot", CASE).mean < 100  # test sets are not averaged
    assert "×1.50 (×1.50)" in current
    assert "| 5 | 12 | 100% | 100% |" in current
    assert "no two draws share a label" in current
    shared = page(Study([{**entry, "shares": True} for entry in table], []), "A title")
    assert "**draws share labels** of a, b, c" in shared
