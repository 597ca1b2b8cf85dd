"""Labels: none without convergence, and each failure has been paid for."""

from __future__ import annotations

import pytest

from kshot.atoms import Failure
from kshot.atoms.files import write
from kshot.labelers import Ledger, executors, labeler
from kshot.labelers.analytic import analytic
from kshot.labelers.examples import water
from kshot.labelers.ledger import Retry
from kshot.pipeline import budget
from kshot.pipeline.adapt import adapt_file
from kshot.pipeline.request import Request
from kshot.potentials.model_file import save
from methanol import METHANOL
from springs import rattled, start

BUDGET = 8


@pytest.fixture
def hasty(monkeypatch):
    """PySCF's engine with one cycle for its electrons."""
    pytest.importorskip("pyscf")
    from kshot.labelers.pyscf import engine

    monkeypatch.setattr(engine, "CYCLES", 1)
    return labeler("pyscf:hf/sto-3g")


def test_electrons_that_do_not_converge_are_a_failure(hasty):
    result = hasty.label(water())
    assert isinstance(result, Failure)
    assert result.reason == "not converged"


class Field:
    """Stands for a mean field of PySCF that converges or not, call by call."""

    mo_coeff = mo_occ = None

    def __init__(self, *converges: bool, second: Field | None = None) -> None:
        self.left, self.converged, self.second = list(converges), False, second

    def kernel(self, *start: object) -> None:
        self.converged = self.left.pop(0)

    def newton(self) -> Field:
        assert self.second is not None
        return self.second

    def make_rdm1(self) -> None:
        pass


@pytest.mark.parametrize(
    ("plain", "second", "good"),
    [((True,), (), True), ((False, True), (True,), True), ((False, False), (True,), False)],
)
def test_a_mean_field_counts_only_where_it_is_converged_itself(hasty, plain, second, good):
    field = Field(*plain, second=Field(*second))
    result = hasty._converge(field)
    assert (result is field) if good else isinstance(result, Failure)


def test_correlation_that_does_not_converge_is_a_failure(monkeypatch):
    pytest.importorskip("pyscf")
    from kshot.labelers.pyscf import correlated

    monkeypatch.setattr(correlated, "MORE_CYCLES", 1)
    result = labeler("pyscf:ccsd/sto-3g").label(water())
    assert isinstance(result, Failure)
    assert "amplitudes" in result.detail


def test_a_failure_is_claimed_again_once_and_only_where_that_is_asked(tmp_path):
    level = analytic().fingerprint
    failure = Failure("not converged", "for this test")
    with Ledger(tmp_path / "ledger") as book:
        book.put(water(), level, failure, 1.0)
        for reasons in ((), ("time",)):
            assert book.claim([water()], level, Retry(frozenset(reasons))).done == [0]
        again = Retry(frozenset({"not converged"}))
        assert book.claim([water()], level, again).granted == [0]
        book.put(water(), level, failure, 1.0)
        assert book.claim([water()], level, again).done == [0]  # one run tries once


def test_failures_are_paid_for(tmp_path, monkeypatch):
    engine = analytic(failures=0.3)
    local = executors.Local()
    candidates = [one.structure for one in rattled(BUDGET)]
    monkeypatch.setattr(budget, "labeler", lambda name: engine)
    monkeypatch.setattr(budget.executors, "Pool", lambda workers: local)
    monkeypatch.setattr(budget, "configurations", lambda *asked, **options: candidates)
    save(start(), tmp_path / "start.kshot")
    write(tmp_path / "methanol.extxyz", [METHANOL])
    request = Request(
        str(tmp_path / "start.kshot"),
        tmp_path / "methanol.extxyz",
        tmp_path / "out.kshot",
        budget=BUDGET,
        methods=("shift",),
    )
    record = adapt_file(request).record
    with Ledger(tmp_path / "out.ledger") as book:
        rows = list(book.rows())
    failed = sum(isinstance(row.result, Failure) for row in rows)
    assert 0 < failed < BUDGET - 2  # or the test shows nothing
    assert len(rows) == record["labels_paid"] == BUDGET
    assert record["failures"] == failed
    assert record["labels"] == BUDGET - failed
