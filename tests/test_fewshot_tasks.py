"""Tasks from labelled frames: support and query apart, K honoured, one level of theory."""

import json

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.atoms import Fingerprint, Labelled, Labels, Structure
from kshot.core.errors import TaskError, UnknownNameError
from kshot.families import Family
from kshot.families.samplers import with_isotopes
from kshot.fewshot import FewShotTask, Setting, make_task
from kshot.fewshot.tasks import frames_of, selections, split_apart, stack_shots
from kshot.meta import stack_tasks

GFN2 = Fingerprint("tblite", "0.8", "GFN2-xTB")
DFT = Fingerprint("pyscf", "2.14", "wb97x-d3bj", "def2-svp")
EVERYTHING = Setting()


def frame(
    i, trajectory="a", time=0.0, level=GFN2, *, family="water", T=300.0, atoms=3, energy=None
):
    rng = np.random.default_rng([i, atoms])
    positions = np.arange(3.0 * atoms).reshape(-1, 3) + 0.1 * rng.standard_normal((atoms, 3))
    info = {"temperature": T, "time": float(time), "isotopes": ""}
    if trajectory is not None:
        info["trajectory"] = trajectory
    numbers = np.array([8, 1, 1, 6, 6, 1][:atoms])
    structure = Structure(numbers, positions, family=family, info=info)
    energy = -100.0 + rng.standard_normal() if energy is None else energy
    return Labelled(structure, Labels(energy, rng.standard_normal((atoms, 3)), None, level))


def run(trajectory, times, start=0):
    return [frame(start + i, trajectory, t) for i, t in enumerate(times)]


@st.composite
def data(draw):
    """Several trajectories of several lengths, and what is asked of them."""
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=6))
    spacing = draw(st.sampled_from([10.0, 400.0, 1000.0, 3000.0]))
    frames = [
        frame(100 * k + i, f"run {k}", i * spacing) for k, n in enumerate(lengths) for i in range(n)
    ]
    order = draw(st.permutations(range(len(frames))))
    ask = (
        draw(st.integers(1, 6)),
        draw(st.integers(0, 6)),
        draw(st.sampled_from([0.0, 1000.0, np.inf])),
    )
    return [frames[i] for i in order], *ask


def apart(one, other, gap):
    same = one.trajectory == other.trajectory
    return one.key != other.key and not (same and abs(one.time - other.time) < gap)


@settings(deadline=None, max_examples=60)
@given(data(), st.sampled_from(list(selections)), st.integers(0, 3))
def test_support_and_query_are_apart_and_of_the_sizes_asked_for(asked, selection, seed):
    frames, shots, query, gap = asked
    options = {"shots": shots, "query": query, "gap": gap, "selection": selection, "seed": seed}
    try:
        task, record = make_task(frames, EVERYTHING, **options)
    except TaskError:
        assert not feasible(frames, shots, query, gap)
        return
    assert len(record.support) == shots == len({one.key for one in record.support})
    assert len(record.query) == query == len({one.key for one in record.query})
    assert all(apart(s, q, gap) for s in record.support for q in record.query)
    assert task.support.energy.shape == (shots,)
    assert (task.query is None) == (query == 0)
    again = make_task(frames, EVERYTHING, **options)
    assert again.record == record
    assert all(map(np.array_equal, jax.tree.leaves(again.task), jax.tree.leaves(task)))


def feasible(frames, shots, query, gap):
    """By brute force over all ways to deal out whole stretches, or to cut one trajectory each."""
    runs = {}
    for f in frames:
        info = f.structure.info
        runs.setdefault(info["trajectory"] if gap else id(f), []).append(info["time"])
    found = {(0, 0)}
    for times in runs.values():
        times.sort()
        n = len(times)
        ways = {(n, 0), (0, n)}
        for i in range(1, n):
            late = sum(t >= times[i - 1] + gap for t in times[i:]) if gap else n - i
            ways |= {(i, late), (late, i)}
        found = {(a + x, b + y) for a, b in found for x, y in ways}
    return any(a >= shots and b >= query for a, b in found)


def test_whole_trajectories_are_not_cut_where_they_need_not_be():
    frames = run("a", range(0, 20000, 10)[:40]) + run("b", range(0, 400, 10), 100)
    left, right = split_apart(frames, 5, 5, 50.0, np.random.default_rng(0))
    assert {len(left), len(right)} == {40}
    assert {frames[i].structure.info["trajectory"] for i in left}.isdisjoint(
        frames[i].structure.info["trajectory"] for i in right
    )


def test_one_long_trajectory_is_cut_in_time():
    frames = run("a", np.arange(0, 5000, 100.0))
    _, record = make_task(frames, EVERYTHING, shots=4, query=10, gap=1000.0)
    times = [[one.time for one in part] for part in (record.support, record.query)]
    nearest = min(abs(s - q) for s in times[0] for q in times[1])
    assert nearest >= 1000.0


def test_frames_of_one_short_trajectory_are_refused_unless_told_otherwise():
    frames = run("a", range(0, 200, 10))
    with pytest.raises(TaskError, match=r"5 support and 5 query frames kept apart.*gap=0"):
        make_task(frames, EVERYTHING, shots=5, query=5)
    assert make_task(frames, EVERYTHING, shots=5, query=5, gap=0.0).record.frames == 20


def test_a_frame_of_unknown_trajectory_is_refused_and_named():
    frames = [*run("a", [0, 5000]), frame(9, None)]
    with pytest.raises(TaskError, match=rf"frame 2 \({frames[2].structure.key}\).*gap=0"):
        make_task(frames, EVERYTHING, shots=1, query=1)


def test_mixed_levels_of_theory_are_refused():
    frames = [frame(i, str(i), level=level) for i, level in enumerate([GFN2, DFT, GFN2, None])]
    with pytest.raises(TaskError, match=r"2 × GFN2-xTB.*1 × wb97x-d3bj.*1 × unknown.*level="):
        make_task(frames, EVERYTHING, shots=1, query=1)
    for level in ("GFN2-xTB", GFN2.digest, GFN2.text):
        task = make_task(frames, Setting(level=level), shots=1, query=1)
        assert (task.record.frames, task.record.level) == (2, GFN2.text)


def test_settings_pick_their_frames():
    frames = [
        frame(i, str(i), T=T, family=family)
        for i, (T, family) in enumerate(
            [(300.0, "water"), (600.0, "water"), (300.0, "ammonia")] * 3
        )
    ]
    task = make_task(frames, Setting(family="water", temperature=300.0), shots=1, query=2)
    assert task.record.frames == 3
    assert {(one.family, one.temperature) for one in task.record.query} == {("water", 300.0)}
    with pytest.raises(TaskError, match=r"family 'methane'; got 9 frames, of families ammonia"):
        make_task(frames, Setting(family="methane"), shots=1, query=1)
    assert len(frames_of(frames, Family("ammonia", "solvent", ()))) == 3


def test_isotopes_are_told_by_info_or_by_masses():
    heavy = frame(1)
    heavy = heavy._replace(structure=with_isotopes(heavy.structure, {"H": "D"}).replace(info={}))
    told = frame(2)
    told = told._replace(structure=told.structure.replace(info={"isotopes": "2H:1,2"}))
    frames = [heavy, told, frame(3)]
    asked = {"shots": 1, "query": 1, "gap": 0.0}
    assert make_task(frames, Setting(isotopes="2H:1,2"), **asked).record.frames == 2
    with pytest.raises(TaskError, match="1 support and 1 query"):
        make_task(frames, Setting(isotopes=""), **asked)


def test_diverse_shots_are_farther_apart_than_random_ones():
    copies = [frame(0, f"copy {i}", energy=float(i)) for i in range(30)]
    positions = [f.structure.positions + 1e-4 * i for i, f in enumerate(copies)]
    positions = [p * (1 + 1e-6 * i) for i, p in enumerate(positions)]
    frames = [
        f._replace(structure=f.structure.replace(positions=p))
        for f, p in zip(copies, positions, strict=True)
    ]
    others = [frame(i, f"other {i}", atoms=3) for i in range(1, 4)]
    chosen = selections.get("diverse")(frames + others, 4, np.random.default_rng(0))
    assert {30, 31, 32} < set(chosen)


def test_stratified_shots_span_the_energies():
    frames = [frame(i, str(i), energy=float(i)) for i in range(100)]
    chosen = selections.get("stratified_energy")(frames, 10, np.random.default_rng(0))
    assert [i // 10 for i in chosen] == list(range(10))


def test_stratified_energies_compare_within_a_composition_only():
    small = [frame(i, str(i), energy=float(i)) for i in range(50)]
    large = [frame(i, f"b{i}", atoms=6, energy=-1000.0 + i) for i in range(50)]
    chosen = selections.get("stratified_energy")(small + large, 10, np.random.default_rng(0))
    assert [(i % 50) // 5 for i in chosen] == list(range(10))


def test_arrays_are_padded_and_lose_nothing():
    frames = [frame(1, "a"), frame(2, "b", atoms=5)]
    shots = stack_shots(frames, size=7, e0s={8: -40.0, 1: -10.0, 6: -1.0}, dtype=np.float64)
    assert shots.numbers.shape == (2, 7)
    assert shots.mask.sum(1).tolist() == [3, 5]
    assert not shots.forces[~shots.mask].any()
    assert not shots.numbers[~shots.mask].any()
    for row, (structure, labels) in enumerate(frames):
        atoms = shots.mask[row]
        assert shots.numbers[row, atoms].tolist() == structure.numbers.tolist()
        assert np.array_equal(shots.forces[row, atoms], labels.forces)
        moved = shots.positions[row, atoms] - structure.positions
        assert np.allclose(moved, moved[0], atol=1e-12)
    assert shots.energy == pytest.approx(
        [f.labels.energy + e for f, e in zip(frames, (60, 62), strict=True)]
    )


def test_single_precision_is_refused_where_it_would_cost_energy():
    heavy = [frame(0, energy=-30000.0)]
    with pytest.raises(TaskError, match=r"30000 eV.*e0s"):
        stack_shots(heavy)
    assert stack_shots(heavy, e0s={8: -29000.0, 1: -500.0}).energy.dtype == np.float32
    with pytest.raises(TaskError, match=r"none for atomic numbers \[1\]"):
        stack_shots(heavy, e0s={8: -29000.0})


def test_tasks_of_several_families_stack():
    frames = [frame(i, f"{n} {i}", atoms=n, family=f"f{n}") for n in (3, 5) for i in range(6)]
    tasks = [make_task(frames, Setting(f"f{n}"), shots=2, query=3, size=5).task for n in (3, 5)]
    stack = stack_tasks(tasks)
    assert stack.support.positions.shape == (2, 2, 5, 3)
    assert stack.query.energy.shape == (2, 3)


def test_the_record_is_plain_json():
    made = make_task(
        run("a", [0, 5000, 10000]), EVERYTHING, shots=1, query=1, e0s={8: -1.0, 1: 0.0}
    )
    assert isinstance(made, FewShotTask)
    read = json.loads(made.record.to_json())
    assert read["support"][0]["trajectory"] == "a"
    assert read["gap"] == 1000.0


@pytest.mark.parametrize("bad", [{"shots": 0}, {"query": -1}, {"gap": -1.0}, {"gap": np.nan}])
def test_impossible_requests_are_refused(bad):
    options = {"shots": 1, "query": 1, "gap": 0.0} | bad
    with pytest.raises(TaskError):
        make_task(run("a", [0, 5000]), EVERYTHING, **options)


def test_unknown_selection_and_infinite_labels_are_refused():
    with pytest.raises(UnknownNameError, match="diverse"):
        make_task(run("a", [0]), EVERYTHING, shots=1, query=0, selection="divers")
    with pytest.raises(TaskError, match="finite"):
        make_task([frame(0, energy=np.nan)], EVERYTHING, shots=1, query=0)
    with pytest.raises(TaskError, match="size = 2"):
        stack_shots([frame(0)], size=2)
    with pytest.raises(TaskError, match="at least one frame"):
        stack_shots([])


@pytest.mark.usefixtures("quick_compile")
def test_the_engine_learns_from_such_tasks():
    import jax.numpy as jnp
    import optax

    from kshot import meta

    def loss(springs, data):
        r = jnp.linalg.norm(data.positions[:, 0] - data.positions[:, 1], axis=-1)
        inside = data.mask[:, 0] & (data.numbers[:, 0] == 8)
        return jnp.mean(jnp.where(inside, (springs * r - data.energy) ** 2, 0.0))

    frames = [frame(i, str(i), energy=-0.5) for i in range(12)]
    made = [make_task(frames, EVERYTHING, shots=3, query=4, seed=seed).task for seed in range(2)]
    maml = meta.maml(loss, rule=meta.rules.sgd(0.01), steps=1, outer=optax.sgd(0.01))
    state, info = maml.step(maml.init(jnp.asarray(1.0)), stack_tasks(made))
    assert info.task_losses.shape == (2,)
    assert np.isfinite(info.task_losses).all()
    assert float(state.params) < 1.0
