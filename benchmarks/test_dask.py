"""One network on a Dask cluster of 1 and 2 workers, and in `Network.fit`: accuracy and seconds.

``pytest benchmarks/test_dask.py --bench-threads 2``. The workers are processes on this machine,
with one thread each; they open their parts of MNIST from files.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import data

SIZES, ROUNDS, ROWS, FEW_ROWS = [784, 100, 10], 10, 50_000, 1000


@pytest.mark.benchmark(group="local SGD on a Dask cluster (see extra_info)")
@pytest.mark.parametrize("workers", [0, 1, 2], ids=["fit", "1 worker", "2 workers"])
def test_mnist(workers: int, benchmark: Any, runs_once: bool, threads: Any, tmp_path: Path) -> None:
    threads(2)
    rounds, rows = (1, FEW_ROWS) if runs_once else (ROUNDS, ROWS)
    dataset = data.load("mnist", download=False)
    images, labels = dataset.train_images[:rows], dataset.train_labels[:rows]
    network = fastnn.Network(SIZES, input_scale=dataset.input_scale, seed=1)
    options: dict[str, Any] = {
        "penalty": fastnn.L1(5.0),
        "validation_data": (dataset.test_images, dataset.test_labels),
    }
    if workers:
        history = benchmark.pedantic(
            on_a_cluster, args=(workers, network, images, labels, tmp_path, rounds, options)
        )
    else:
        history = benchmark.pedantic(
            network.fit, args=(images, labels), kwargs={"epochs": rounds, "threads": 1} | options
        )
    found = {"accuracy": history.val_accuracy, "seconds a round": median(history.seconds)}
    benchmark.extra_info.update(found)
    print(*(f"\n{what}: {value}" for what, value in found.items()), end="")


def on_a_cluster(
    workers: int,
    network: fastnn.Network,
    images: np.ndarray,
    labels: np.ndarray,
    folder: Path,
    rounds: int,
    options: dict[str, Any],
) -> Any:
    from distributed import Client, LocalCluster

    import fastnn.dask

    partitions = []
    pieces = zip(np.array_split(images, workers), np.array_split(labels, workers), strict=True)
    for number, (X, y) in enumerate(pieces):
        paths = folder / f"X{number}.npy", folder / f"y{number}.npy"
        np.save(paths[0], X)
        np.save(paths[1], y)
        partitions.append(paths)
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        return fastnn.dask.fit(
            network, partitions, client=client, rounds=rounds, local_epochs=1, **options
        )
