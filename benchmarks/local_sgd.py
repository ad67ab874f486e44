"""A simulation of local SGD with many workers: accuracy, bytes and time of each round.

``python benchmarks/local_sgd.py [--rounds 10] [--workers 1 2 8 64 1000]`` runs all workers of a
round one after another in this process, on MNIST, with the code that `fastnn.dask` runs on a
cluster. Accuracy and bytes are what a cluster's would be. The seconds of a round are computed: the
workers' from the measured samples per second of one core; the network's from ``--gigabits`` and
``--overhead`` of the machine that averages. All weights pass through this machine: a star, with
Dask's client at its centre.
"""

from __future__ import annotations

import argparse
import itertools
import json
from time import perf_counter
from typing import Any

import numpy as np

from fastnn import L1, Network, data, local_sgd
from fastnn.trainer.rows import rows_of

ROWS, VALIDATION = 50_000, 10_000
ALL_ROWS = (10**6, 10**7, 10**8, 10**9)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 8, 64, 1000])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--gigabits", type=float, default=10.0, help="a second, each way")
    parser.add_argument("--overhead", type=float, default=0.001, help="seconds a task, in turn")
    return parser.parse_args()


def simulate(workers: int, rounds: int, hidden: int, dataset: Any) -> dict[str, Any]:
    """Train with `workers` workers; return accuracies, bytes, and the seconds of their work."""
    network = Network([784, hidden, 10], input_scale=dataset.input_scale, seed=1)
    images, labels = dataset.train_images[:ROWS], dataset.train_labels[:ROWS]
    cuts = [worker * ROWS // workers for worker in range(workers + 1)]
    parts = [
        rows_of(network, images[a:b], labels[a:b], predicted=False)
        for a, b in itertools.pairwise(cuts)
    ]
    seconds = [0.0]

    def run(task: Any, model: Any, places: Any) -> list[local_sgd.Done]:
        start = perf_counter()
        done = [
            local_sgd.train_part(task, model, place, [part], 1)
            for place, part in zip(places, parts, strict=True)
        ]
        seconds.append(perf_counter() - start)
        return done

    history = local_sgd.fit(
        network, run, lambda: [part.total for part in parts], rounds=rounds, local_epochs=1,
        penalty=L1(5.0), validation_data=(dataset.test_images, dataset.test_labels),
    )  # fmt: skip
    size = sum(array.nbytes for array in (*network.weights, *network.biases))
    own, whole = min(seconds[1:]), history.seconds[int(np.argmin(seconds[1:]))]
    return {
        "workers": workers,
        "accuracy": history.val_accuracy,
        "bytes_up_and_down": 2 * size,
        "own_seconds_of_all": own,
        "averaging": whole - own,
    }


def table(rows: list[list[Any]]) -> str:
    head, *body = ([str(cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> None:
    given = arguments()
    dataset = data.load("mnist", download=False)
    simulate(1, 1, given.hidden, dataset)  # compiles
    found = [simulate(k, given.rounds, given.hidden, dataset) for k in given.workers]
    shown = sorted({1, 2, 5, given.rounds} & set(range(1, given.rounds + 1)))
    print(f"\nAccuracy on {VALIDATION:,} rows, %, after so many rounds of one local epoch\n")
    print(table([["workers", *shown]] + [
        [f["workers"], *(f"{100 * f['accuracy'][r - 1]:.2f}" for r in shown)] for f in found
    ]))  # fmt: skip
    rate = ROWS / min(f["own_seconds_of_all"] for f in found)
    size = found[0]["bytes_up_and_down"] / 2
    print(f"\nOne core: {rate:,.0f} samples a second. Weights: {size / 1e3:,.0f} kB")
    print("\nSeconds a round of one local epoch (in brackets: bytes of all weights)\n")
    rows: list[list[Any]] = [["workers", *(f"{n:.0e} rows" for n in ALL_ROWS)]]
    for workers in given.workers:
        moved = 2 * workers * size
        wire = moved / (given.gigabits * 1e9 / 8) + workers * given.overhead
        cells = [f"{n / workers / rate + (workers > 1) * wire:,.2f}" for n in ALL_ROWS]
        rows.append([f"{workers} ({moved / 1e6:,.1f} MB)", *cells])
    print(table(rows))
    print("\n" + json.dumps(found))


if __name__ == "__main__":
    main()
