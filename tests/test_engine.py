"""The compiled path compared with the numpy path, on awkward shapes and for every plug-in."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fastnn import activations, costs, penalties
from fastnn.arrays import Inputs
from fastnn.engine import Training, batched, compiled, jit, layout, outputs, records, tiles
from fastnn.engine.coefficients import Coefficients
from fastnn.engine.problem import Problem

pytestmark = pytest.mark.skipif(not jit.is_on(), reason="compares with compiled kernels")

ROWS = 60


class AsNumpy:
    """A cost that `Training` treats as user-defined, so that the numpy path runs."""

    def __init__(self, cost: costs.Cost, output: activations.Activation) -> None:
        self.cost, self.output = cost, output

    def delta_rows(self, z: np.ndarray, a: np.ndarray, y: np.ndarray) -> np.ndarray:
        return self.cost.delta(np, z, a, y, self.output.derivative(np, z, a))


def inputs_of(columns: int, kind: str) -> Inputs:
    rng = np.random.default_rng(columns)
    matrix = rng.integers(1, 256, (ROWS, columns))
    if "sparse" in kind:
        matrix *= rng.random((ROWS, columns)) < 0.1
        matrix[:, : columns // 3] = 0
    dtype = kind.split()[-1]
    return Inputs(np.ascontiguousarray(matrix, dtype), 1 / 256)


def train(
    sizes, *, batch_size, dtype="float64", penalty=None, cost=None, hidden=None, output=None,
    kind="uint8", numpy=False, epochs=2, labels=True, rate=0.5, threads=1,
):  # fmt: skip
    """Return the weights and biases after training."""
    rng = np.random.default_rng(1)
    weights = [
        (rng.standard_normal((o, i)) / np.sqrt(i)).astype(dtype)
        for i, o in itertools.pairwise(sizes)
    ]
    biases = [rng.standard_normal(o).astype(dtype) for o in sizes[1:]]
    hidden, output = hidden or activations.Sigmoid(), output or activations.Sigmoid()
    hidden = hidden if isinstance(hidden, list) else [hidden] * (len(sizes) - 2)
    cost = cost or costs.CrossEntropy()
    targets = rng.integers(0, sizes[-1], ROWS)
    if not labels:
        targets = rng.random((ROWS, sizes[-1])).astype(dtype)
        targets /= targets.sum(axis=1, keepdims=True)
    training = Training(
        weights,
        biases,
        activations=[*hidden, output],
        cost=AsNumpy(cost, output) if numpy else cost,
        penalties=penalty if isinstance(penalty, list) else [penalty] * len(weights),
        inputs=inputs_of(sizes[0], kind),
        targets=targets,
        batch_size=batch_size,
        learning_rate=rate,
        threads=threads,
    )
    for _ in range(epochs):
        training.epoch(rng.permutation(ROWS))
    return [*weights, *biases]


def assert_same(sizes, *, tolerance=1e-10, **settings) -> None:
    """Assert that both paths agree, relative to the largest number of each array, or to 1."""
    ours, numpys = train(sizes, **settings), train(sizes, numpy=True, **settings)
    for here, there in zip(ours, numpys, strict=True):
        np.testing.assert_allclose(here, there, rtol=0, atol=tolerance * max(1, abs(there).max()))


@pytest.mark.cpu_tiles
@pytest.mark.parametrize("batch_size", [1, 2, 7, 13, 59, 60, 100])
@pytest.mark.parametrize(
    "sizes",
    [[1, 1], [3, 1, 2], [64, 8, 3], [65, 9, 17, 7], [70, 15, 16, 1], [200, 33, 31, 32, 10]],
    ids=str,
)
def test_shapes(sizes, batch_size: int) -> None:
    assert_same(sizes, batch_size=batch_size, penalty=penalties.L1(0.3), labels=False)


@pytest.mark.parametrize("columns", [64, 100, 129])
@pytest.mark.parametrize(
    ("penalty", "kind"),
    [
        *(
            pytest.param(None, kind, marks=pytest.mark.cpu_tiles)
            for kind in ("uint8", "sparse uint8", "float32", "sparse float64")
        ),
        *((p(0.3), "sparse uint8") for p in penalties.ALL),
    ],
    ids=str,
)
def test_inputs_and_penalties(columns: int, penalty, kind: str) -> None:
    assert_same([columns, 17, 10], batch_size=7, penalty=penalty, kind=kind, epochs=4)


@pytest.mark.parametrize("penalty", [p(0.3) for p in penalties.ALL], ids=str)
def test_rows_of_a_class_stand_together(penalty) -> None:
    """Batches of at least 20 rows are ordered by class; the last batch is short."""
    assert_same([129, 17, 10], batch_size=25, penalty=penalty, kind="sparse uint8", epochs=4)


def test_every_penalty_on_a_layer_of_its_own() -> None:
    """Batches use all inputs of every layer, and one kernel has all these rules."""
    strengths = [p(0.3) for p in penalties.ALL]
    sizes = [64, *range(19, 19 - len(strengths), -1)]
    for rules in (strengths, strengths[::-1]):
        assert_same(sizes, batch_size=7, penalty=rules, epochs=4)


HIDDEN = [a for a in activations.ALL if not a.normalises]
# Every cost with the last of the outputs that it names.
PAIRS = [(cost, type(activations.named("output", cost.outputs[-1]))) for cost in costs.ALL]


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize(
    ("hidden", "cost", "output", "dtype"),
    # Single formulas are compared in both dtypes elsewhere; float32 is tested here for sums along a
    # layer (softmax), and for the default cost and activations.
    [
        *((HIDDEN[i % len(HIDDEN)], *pair, "float64") for i, pair in enumerate(PAIRS)),
        (activations.Tanh, costs.LogLikelihood, activations.Softmax, "float32"),
        (activations.Sigmoid, costs.CrossEntropy, activations.Sigmoid, "float32"),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_activations_and_costs(hidden, cost, output, labels: bool, dtype: str) -> None:
    tolerance = 1e-10 if dtype == "float64" else 1e-4
    assert_same(
        [70, 19, 18, 5],
        hidden=hidden(), cost=cost(), output=output(), dtype=dtype,
        labels=labels, batch_size=8, rate=0.01, tolerance=tolerance,
    )  # fmt: skip


def test_every_activation_in_one_network() -> None:
    sizes = [70, *range(20, 20 - len(HIDDEN), -1), 5]
    assert_same(sizes, hidden=[a() for a in HIDDEN], batch_size=8, rate=0.01)


@pytest.mark.parametrize(
    ("penalty", "dtype"),
    [
        # If a unit's weights are a group, what happens to a column depends on all others.
        *((p, "float64") for p in penalties.ALL if p(0.9).grouping != "neurons"),
        *((p, "float32") for p in (penalties.L1, penalties.L2, penalties.ElasticNet)),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_unused_columns_wait_for_the_penalty_and_get_it(penalty, dtype: str) -> None:
    """Columns that no row uses get every step of the penalty, also where weights change sign."""
    strength, epochs = penalty(0.9), 200
    ours = train([90, 5, 2], batch_size=3, penalty=strength, kind="sparse uint8", dtype=dtype,
                 epochs=epochs)[0]  # fmt: skip
    w = train([90, 5, 2], batch_size=3, epochs=0)[0][:, :30].copy()
    steps, q = epochs * ROWS // 3, np.zeros_like(w)
    table = Coefficients([strength]).rows(0.5 / ROWS, steps)
    for numbers in np.broadcast_to(table, (steps + 1, table.shape[1]))[1:]:
        batched.shrink_layer(strength, w, q, numbers)
        batched.scale_groups(strength, w, numbers)
    # In float32, rounding can put a weight that alternates around 0 on the other side.
    shrinks = 1e-6 if dtype == "float64" else 2.01
    np.testing.assert_allclose(ours[:, :30], w, rtol=0, atol=shrinks * 0.9 * 0.5 / ROWS)


@pytest.mark.parametrize("kind", ["sparse uint8", "uint8"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_decay_that_leaves_next_to_nothing(threads: int, kind: str) -> None:
    """The decay is a factor kept apart from the weights; 0.6**60 must be folded in on the way."""
    for biases in (False, True):
        strengths = [penalties.L2(0.4 / 0.5 * ROWS, biases=biases), penalties.L2(0.3)]
        assert_same([90, 17, 10], batch_size=1, penalty=strengths, kind=kind, threads=threads)


def test_the_cost_is_tracked_in_either_path() -> None:
    rng = np.random.default_rng(0)
    weights, biases = rng.standard_normal((10, 70)) / 8, rng.standard_normal(10)
    labels, totals = rng.integers(0, 10, ROWS), []
    for path in (compiled.Path, batched.Path):
        problem = Problem(
            weights=[weights.copy()],
            biases=[biases.copy()],
            activations=[activations.Sigmoid()],
            cost=costs.CrossEntropy(),
            penalties=[None],
            inputs=inputs_of(70, "uint8"),
            targets=labels,
            batch_size=7,
            learning_rate=0.1,
            n=ROWS,
            track_cost=True,
            threads=1,
        )
        totals.append(path(problem).run(np.arange(ROWS)))
    assert totals[0] == pytest.approx(totals[1], rel=1e-12)


@pytest.mark.cpu_tiles
@pytest.mark.usefixtures("compiled_outputs")
@pytest.mark.parametrize("output", [activations.Tanh, activations.Softmax], ids=lambda a: a.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outputs(output, dtype: str) -> None:
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((21, 70)).astype(dtype) / 8, rng.standard_normal((5, 21))]
    weights[1] = weights[1].astype(dtype)
    biases = [rng.standard_normal(n).astype(dtype) for n in (21, 5)]
    layers = [activations.Tanh(), output()]
    inputs = inputs_of(70, "sparse uint8")
    found = outputs(weights, biases, layers, inputs)
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    expected = batched.outputs(weights, biases, layers, inputs)
    for here, there in ((found.z, expected.z), (found.a, expected.a)):
        assert here.dtype == dtype
        np.testing.assert_allclose(here, there, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(found.largest, found.a.argmax(axis=1), strict=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("nans", [[], [5], [20, 33], [0, 7]], ids=str)
def test_the_largest_output_is_the_first_of_its_size_and_nan_before_all(dtype, nans) -> None:
    rng = np.random.default_rng(0)
    weights = np.tile(rng.integers(-2, 3, (12, 4)), (3, 1)).astype(dtype)  # each output three times
    weights[nans] = np.nan
    inputs = Inputs(rng.integers(-2, 3, (53, 4)).astype(dtype), 1.0)
    for path in (compiled, batched):
        found = path.outputs([weights], [np.zeros(36, dtype)], [activations.Identity()], inputs)
        assert found.largest.tolist() == found.a.argmax(axis=1).tolist()
        assert found.largest.max() < 12 or nans == [20, 33]


@pytest.mark.parametrize(
    ("columns", "dtype"), [(3, "float32"), (3, "float64"), (13, "float64"), (100, "float32")]
)
def test_quotients_are_divided_as_the_caller_did(columns: int, dtype: str) -> None:
    """Pixels / 255 that are stored as bytes give the same bits as floats, in either path."""
    k = inputs_of(columns, "sparse uint8").matrix
    floats = Inputs(k.astype(dtype) / np.dtype(dtype).type(255), 1.0)
    left = []
    for inputs in (floats, Inputs(k, 1.0, 255.0)):
        rng = np.random.default_rng(3)
        weights, biases = [rng.standard_normal((4, columns)).astype(dtype)], [np.zeros(4, dtype)]
        training = Training(
            weights, biases, activations=[activations.Sigmoid()], cost=costs.CrossEntropy(),
            penalties=[None], inputs=inputs, targets=np.arange(ROWS) % 4, batch_size=7,
            learning_rate=0.5,
        )  # fmt: skip
        training.epoch(np.arange(ROWS))
        found = [outputs(weights, biases, [activations.Sigmoid()], inputs)[0]]
        found.append(batched.outputs(weights, biases, [activations.Sigmoid()], inputs)[0])
        left.append([*weights, *biases, *found])
    for of_floats, of_bytes in zip(*left, strict=True):
        np.testing.assert_array_equal(of_floats, of_bytes)


def test_divergence_is_seen() -> None:
    """NaN and infinity keep their meaning in the kernels."""
    inputs = Inputs(np.full((4, 3), 1e300), 1.0)
    weights, biases = [np.full((2, 3), 1e300)], [np.zeros(2)]
    training = Training(
        weights, biases, activations=[activations.ReLU()], cost=costs.Quadratic(), penalties=[None],
        inputs=inputs, targets=np.zeros(4, np.int64), batch_size=2, learning_rate=1.0,
    )  # fmt: skip
    training.epoch(np.arange(4))
    assert not np.isfinite(weights[0]).all()


@pytest.mark.cpu_tiles
@pytest.mark.parametrize("batch_size", [3, 10, 25, 60])
@pytest.mark.parametrize(("threads", "own_bytes"), [(2, 1 << 20), (3, 1 << 20), (2, 0), (3, 0)])
@pytest.mark.parametrize("kind", ["sparse uint8", "sparse float32"])
def test_threads_change_no_bit(
    kind: str, threads: int, own_bytes: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each thread may gather all inputs for itself, or the threads may share that work."""
    monkeypatch.setattr(layout, "OWN_BYTES", own_bytes)
    settings = {"batch_size": batch_size, "penalty": penalties.L1(0.3), "kind": kind}
    sizes = [100, 40 if own_bytes else 43, 21, 3]  # plans of one shape are made once
    one = train(sizes, **settings, threads=1)
    several = train(sizes, **settings, threads=threads)
    for here, there in zip(one, several, strict=True):
        np.testing.assert_array_equal(here, there)


def use_tiles(monkeypatch: pytest.MonkeyPatch, *fields: Any) -> None:
    """Compile for these `Tiles` on every CPU."""
    shapes = tiles.Tiles(*fields)
    monkeypatch.setattr(tiles, "TILES", dict.fromkeys(tiles.TILES, shapes))


# Narrow panels, and lists of five rows, or of ten, sorted by which of five or three groups of rows
# use a column.
NARROW = {
    "single rows": ((5,), 5, 1, 0, 5),
    "pairs": ((5,), 5, 1, 1, 5),
    "groups of up to four": ((5,), 5, 1, 1, 3),
}


@pytest.fixture(params=NARROW.values(), ids=NARROW)
def narrow_sorted_panels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    use_tiles(monkeypatch, *request.param)


@pytest.mark.usefixtures("narrow_sorted_panels")
@pytest.mark.parametrize(
    ("batch_size", "kind"),
    [*((m, "sparse uint8") for m in (2, 7, 10, 19, 59)), (7, "sparse float32")],
)
@pytest.mark.parametrize("columns", [64, 129, 1100, 2100])
def test_sorted_columns(columns: int, batch_size: int, kind: str) -> None:
    """At 1,100 columns, a number and its key fill an item; 59 rows leave a last batch of one."""
    settings = {"batch_size": batch_size, "kind": kind, "penalty": penalties.L1(0.3)}
    assert_same([columns, 11, 10], **settings)


OF_TWO_ROWS = ((2, 2), 2, 2, 0, 2)


@pytest.fixture
def kinds_of_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """On every CPU, sort lists by which of two rows use a column; this compiles faster."""
    use_tiles(monkeypatch, *OF_TWO_ROWS)


# Sorting changes where in a batch a penalty acts. That also depends on its form, so here is one of
# each: in the gradient, of two parts, a decay, after the gradient with a memory, of groups.
OF_EACH_FORM = [
    penalties.L1(0.3), penalties.ElasticNet(0.3), penalties.L2(0.3), penalties.CumulativeL1(0.3),
    penalties.GroupLasso(0.3),
]  # fmt: skip


@pytest.mark.usefixtures("kinds_of_two_rows")
@pytest.mark.parametrize("penalty", OF_EACH_FORM, ids=str)
def test_sorted_columns_and_penalties(penalty) -> None:
    """The panels are one and two vectors wide."""
    assert_same([129, 33, 10], batch_size=7, penalty=penalty, kind="sparse uint8", epochs=4)


@pytest.mark.parametrize(
    ("shape", "penalty"),
    [(OF_TWO_ROWS, None), *((shape, penalties.L1(0.3)) for shape in NARROW.values())],
    ids=["two rows", *NARROW],
)
def test_each_way_to_sort_leaves_the_same_bits(
    shape: tuple[Any, ...], penalty, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_tiles(monkeypatch, *shape)
    left = []
    for packs in (True, False):
        monkeypatch.setattr(jit, "packs_short_lanes", lambda packs=packs: packs)
        settings = {"batch_size": 19, "penalty": penalty, "kind": "sparse uint8"}
        left.append(train([100, 11, 10], **settings))
    for packed, counted in zip(*left, strict=True):
        np.testing.assert_array_equal(packed, counted)


@pytest.mark.usefixtures("narrow_sorted_panels")
@pytest.mark.parametrize("units", [5, 20])
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_take_parts_of_sorted_lists(threads: int, units: int) -> None:
    """Threads share whole panels, and the columns of the panels that are left over."""
    settings = {"batch_size": 13, "penalty": penalties.L1(0.3), "kind": "sparse uint8"}
    one = train([100, units, 3], **settings, threads=1)
    several = train([100, units, 3], **settings, threads=threads)
    for here, there in zip(one, several, strict=True):
        np.testing.assert_array_equal(here, there)


def test_the_columns_of_the_table_are_the_fields_of_a_layer() -> None:
    columns = {column for column, _ in records.LAYER.values()}
    assert columns == set(range(records.FIELDS))
    assert records.ACTIVATION == records.B_AT + 1


def test_a_batch_of_all_rows_takes_no_more_memory_for_more_threads() -> None:
    def taken(threads: int) -> int:
        shape = layout.Shape(
            (784, 30, 10), (records.Choice(0),) * 2, batch_size=60_000, listed=5, lanes=16,
            panels=(2, 2), threads=threads, stateful=False, memories=None, shortens=False,
            sparse=False, lists=True, parts=64, dtype=np.dtype("float32"),
        )  # fmt: skip
        return sum(array.nbytes for array in layout.allocate(shape))

    assert taken(16) < taken(1) + 32_000_000 < 400_000_000
