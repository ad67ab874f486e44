"""Plots: what is drawn is what the network, or another result, contains."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from fastnn import History, Network, plots
from fastnn.regularization_path import PathStep

ZERO = (0.55, 0.55, 0.55)


@pytest.fixture
def ax() -> Any:
    return pytest.importorskip("matplotlib.figure").Figure().subplots()


def pixels(ax: Any) -> np.ndarray:
    """Return the colours of the image on `ax`, (height, width, 3), rounded."""
    [image] = ax.images
    return image.to_rgba(image.get_array())[..., :3].round(3)


def test_learning_curves_draws_on_the_given_axes(ax) -> None:
    history = History([3.0, 2.0], [3.5, 2.5], [0.5, 0.75], [0.1, 0.1])
    assert plots.learning_curves(history, ax=ax) is ax
    assert [line.get_ydata().tolist() for line in ax.lines] == [[3.0, 2.0], [3.5, 2.5]]
    [twin] = [other for other in ax.figure.axes if other is not ax]
    assert twin.lines[0].get_ydata().tolist() == [50.0, 75.0]


def test_learning_curves_without_validation_data(ax) -> None:
    plots.learning_curves(History([3.0, 2.0], seconds=[0.1, 0.1]), ax=ax)
    assert ax.figure.axes == [ax]
    assert len(ax.lines) == 1


def test_weight_images_marks_zeros_and_parts_the_tiles(ax) -> None:
    network = Network([6, 3, 2], seed=1)
    network.weights[0][:] = [[1, 0, -1, 0.5, 0, 0], [0] * 6, [2, 2, 2, -2, -2, -2]]
    assert plots.weight_images(network, shape=(2, 3), ax=ax) is ax
    shown = pixels(ax)
    assert shown.shape == (5, 7, 3)  # two tiles of 2 x 3 side by side, one below
    grey = (shown == ZERO).all(axis=2)
    np.testing.assert_array_equal(grey[:2, :3], [[0, 1, 0], [0, 1, 1]])
    assert grey[:2, 4:].all()
    assert not grey[3:, :3].any()
    white = (shown == 1).all(axis=2)
    assert white[2].all()
    assert white[:, 3].all()
    assert white[3:, 4:].all()  # there is no fourth unit
    red, blue = shown[3, 0], shown[4, 0]
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_weight_images_puts_dropped_inputs_back(ax) -> None:
    network = Network([9, 2, 2], seed=1)
    network.weights[0][:, [0, 4]] = 0
    network.compact()
    plots.weight_images(network, ax=ax)
    grey = (pixels(ax) == ZERO).all(axis=2)
    np.testing.assert_array_equal(grey[:3, :3], [[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    np.testing.assert_array_equal(grey[:3, 4:7], grey[:3, :3])


def test_weight_images_of_inputs_that_are_no_square(ax) -> None:
    network = Network([5, 2], seed=1)
    network.weights[0][:] = 0
    plots.weight_images(network, ax=ax)
    assert pixels(ax).shape == (3, 5, 3)
    with pytest.raises(ValueError, match=r"shape must have 5 pixels, one per input, not \(2, 3\)"):
        plots.weight_images(network, shape=(2, 3), ax=ax)


def steps_of(lambdas: list[float]) -> list[PathStep]:
    network = Network([4, 2], seed=1)
    return [
        PathStep(lmbda, 1.0, 1.0, 0.9 - lmbda / 100, 0.01, [lmbda / 50, 0.25], [4, 2], 0.1, network)
        for lmbda in lambdas
    ]


@pytest.mark.parametrize(
    ("lambdas", "scale"), [([1.0, 10.0], "log"), ([0.0, 1.0, 10.0], "symlog"), ([0.0], "linear")]
)
def test_sparsity_path(lambdas: list[float], scale: str, ax) -> None:
    assert plots.sparsity_path(steps_of(lambdas), ax=ax) is ax
    assert ax.get_xscale() == scale
    accuracy = np.array(ax.lines[0].get_ydata(), float)
    np.testing.assert_allclose(accuracy, [90 - lmbda for lmbda in lambdas])
    [twin] = [other for other in ax.figure.axes if other is not ax]
    np.testing.assert_allclose(twin.lines[0].get_ydata(), [2 * lmbda for lmbda in lambdas])
    np.testing.assert_allclose(twin.lines[1].get_ydata(), [25] * len(lambdas))
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["accuracy", "zeros, layer 1", "zeros, layer 2"]


def test_sparsity_by_layer(ax) -> None:
    network = Network([4, 2, 2], seed=1)
    network.weights[0][0] = 0
    assert plots.sparsity_by_layer(network, ax=ax) is ax
    assert [bar.get_width() for bar in ax.patches] == [50, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["4 to 2", "2 to 2"]
    assert [text.get_text() for text in ax.texts] == ["50.0 %", "0.0 %"]


def reader(outputs: int = 3) -> Network:
    """Return a network with 4 pixels whose largest output is that of the brightest pixel."""
    network = Network([4, outputs], cost="quadratic", activation="identity", seed=1)
    network.weights[0][:] = np.eye(outputs, 4)
    network.biases[0][:] = 0
    return network


X = np.array([[9, 1, 0, 0], [1, 5, 0, 0], [0, 0, 7, 0], [0, 0, 8, 0], [4, 0, 0, 0], [0, 6, 0, 0]])


@pytest.mark.usefixtures("numpy_path")
def test_confusion_matrix(ax) -> None:
    y = [0, 1, 2, 1, 0, 0]
    assert plots.confusion_matrix(reader(), X, y, names=["a", "b", "c"], ax=ax) is ax
    counts = np.reshape([int(text.get_text()) for text in ax.texts], (3, 3))
    np.testing.assert_array_equal(counts, [[2, 1, 0], [0, 1, 1], [0, 0, 1]])
    np.testing.assert_allclose(
        ax.images[0].get_array(), [[2 / 3, 1 / 3, 0], [0, 0.5, 0.5], [0, 0, 1]]
    )
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    with pytest.raises(ValueError, match="names must have one for each of 3 classes, not 2"):
        plots.confusion_matrix(reader(), X, y, names=["a", "b"], ax=ax)


def test_confusion_matrix_of_one_output_and_of_no_rows_of_a_class(ax) -> None:
    plots.confusion_matrix(reader(1), X, [1, 1, 0, 0, 1, 0], ax=ax)
    assert [text.get_text() for text in ax.texts] == ["3", "0", "0", "3"]
    other = ax.figure.add_subplot()
    plots.confusion_matrix(reader(), X[:1], [0], ax=other)
    np.testing.assert_array_equal(other.images[0].get_array(), [[1, 0, 0], [0, 0, 0], [0, 0, 0]])


def test_misclassified_digits_has_the_surest_first(ax) -> None:
    y = [1, 1, 2, 0, 0, 2]  # rows 0, 3 and 5 are wrong, with outputs of 9, 8 and 6
    assert plots.misclassified_digits(reader(), X, y, most=2, ax=ax) is ax
    assert ax.get_title() == "3 of 6 wrong; true class, and the predicted one"
    assert [text.get_text() for text in ax.texts] == ["1\n0", "0\n2"]
    canvas = np.ma.filled(ax.images[0].get_array(), np.nan)
    for text, row in zip(ax.texts, (0, 3), strict=True):
        left, middle = map(int, text.get_position())
        np.testing.assert_array_equal(
            canvas[middle - 1 : middle + 1, left - 2 : left].ravel(), X[row]
        )


@pytest.mark.parametrize("form", ["csr_array", "coo_matrix"])
def test_misclassified_digits_of_sparse_rows(form: str, ax) -> None:
    sparse, y = pytest.importorskip("scipy.sparse"), [1, 1, 2, 0, 0, 2]
    plots.misclassified_digits(reader(), X.astype(float), y, ax=ax)
    other = ax.figure.add_subplot()
    plots.misclassified_digits(reader(), getattr(sparse, form)(X.astype(float)), y, ax=other)
    drawn, expected = (a.images[0].get_array().filled(-1) for a in (other, ax))
    np.testing.assert_array_equal(drawn, expected)
    assert [text.get_text() for text in other.texts] == [text.get_text() for text in ax.texts]


def test_pictures_of_classes_take_files(ax, tmp_path) -> None:
    y, files = [1, 1, 2, 0, 0, 2], (tmp_path / "X.npy", tmp_path / "y.npy")
    np.save(files[0], X)
    np.save(files[1], y)
    for draw in (plots.confusion_matrix, plots.misclassified_digits):
        of_arrays, of_files = ax.figure.add_subplot(), ax.figure.add_subplot()
        draw(reader(), X, y, ax=of_arrays)
        draw(reader(), *files, ax=of_files)
        expected, found = (a.images[0].get_array() for a in (of_arrays, of_files))
        np.testing.assert_array_equal(found, expected)


def test_misclassified_digits_where_there_are_none(ax) -> None:
    plots.misclassified_digits(reader(), X, reader().predict(X), ax=ax)
    assert ax.get_title().startswith("0 of 6 wrong")
    assert not ax.images


def test_pictures_of_classes_need_classes(ax) -> None:
    for network in (
        Network([4, 3], multilabel=True),
        Network([4, 1], cost="huber", activation="tanh"),
    ):
        for draw in (plots.confusion_matrix, plots.misclassified_digits):
            with pytest.raises(
                ValueError, match="the network must be one for classes, not Network"
            ):
                draw(network, X, np.zeros((6, network.sizes[-1])), ax=ax)
    with pytest.raises(ValueError, match=r"shape must have 4 pixels, one per input, not \(3, 2\)"):
        plots.misclassified_digits(reader(), X, [0] * 6, shape=(3, 2), ax=ax)


def test_benchmark_times(ax) -> None:
    cases = [
        {"name": "one", "results": {"numpy": {"best": 0.02}, "fastnn": {"best": 0.003}},
         "limit": {"seconds": 0.002}},
        {"name": "two", "results": {"fastnn": {"best": 0.004}}, "limit": {"seconds": 0.001}},
    ]  # fmt: skip
    assert plots.benchmark_times(cases, ax=ax) is ax
    drawn = {line.get_label(): line for line in ax.lines}
    expected = {"numpy": ([20], [0]), "fastnn": ([3, 4], [0, 1]), "limit": ([2, 1], [0, 1])}
    assert drawn.keys() == expected.keys()
    for name, (times, places) in expected.items():
        np.testing.assert_allclose(drawn[name].get_xdata(), times)
        np.testing.assert_array_equal(drawn[name].get_ydata(), places)
    assert drawn["fastnn"].get_marker() != drawn["numpy"].get_marker()
    assert ax.get_xscale() == "log"
    assert [label.get_text() for label in ax.get_yticklabels()] == ["one", "two"]


def test_a_picture_on_axes_of_its_own() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    ax = plots.sparsity_by_layer(Network([4, 2], seed=1))
    assert ax.figure in map(plt.figure, plt.get_fignums())
    plt.close(ax.figure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: History([1.0]).plot(),
        lambda: plots.weight_images(Network([4, 2])),
        lambda: plots.confusion_matrix(reader(), X, [0] * 6),
        lambda: plots.benchmark_times([]),
    ],
)
def test_without_matplotlib(draw, monkeypatch) -> None:
    for name in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .matplotlib"):
        draw()
