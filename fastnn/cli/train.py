"""``fastnn train``: train a network, report the results, and draw its learning curves."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from fastnn.cli.options import (
    BatchSize,
    DataFolder,
    Dtype,
    Hidden,
    JsonFile,
    LearningRate,
    OptimizerOption,
    PenaltyName,
    Seed,
    Threads,
)
from fastnn.cli.output import all_differ, is_terminal, json_writer, new_figure, written
from fastnn.cli.parsing import finite, hidden_layers, optimizer_of, penalty_of, strength_for
from fastnn.cli.rows import Features, RowsName, TestFile, files_read, named_rows

if TYPE_CHECKING:
    from fastnn.callbacks import Callback
    from fastnn.history import History
    from fastnn.network import Network

__all__ = ["train"]

NEAR_ZERO = 1e-4


def train(
    name: RowsName = "digits",
    folder: DataFolder = None,
    test: TestFile = None,
    features: Features = None,
    hidden: Hidden = ["30"],  # noqa: B006 - typer copies it
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")] = 30,
    batch_size: BatchSize = 10,
    learning_rate: LearningRate = None,
    optimizer: OptimizerOption = "sgd",
    lmbda: Annotated[
        float | None,
        typer.Option(
            min=0,
            callback=finite,
            help="Strength of the penalty over the whole training set; for max_norm, the limit.",
        ),
    ] = None,
    penalty: Annotated[
        Literal["none", PenaltyName],
        typer.Option(
            help="Penalty on the weights; needs --lmbda (for max_norm, the limit of a unit's norm)."
        ),
    ] = "none",
    dtype: Dtype = "float32",
    seed: Seed = 1,
    threads: Threads = None,
    out: Annotated[
        Path | None,
        written(
            "Save the network here: as JSON if the name ends in .json, else as "
            "safetensors; with matplotlib, also a picture of the learning curves next to it.",
            metavar="MODEL",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        written(
            "Write a checkpoint here after every epoch, unless that takes over a tenth of the "
            "time, and when the command is stopped."
        ),
    ] = None,
    checkpoint_seconds: Annotated[
        float | None,
        typer.Option(min=0, callback=finite, help="Also write one after this many seconds."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Resume from the checkpoint, if there is one; --seed is then that of its start.",
        ),
    ] = False,
    json_file: JsonFile = None,
) -> None:
    """Train a network and test it on unseen images or rows.

    The digits come with the package: 1,437 are for training, and 360 are held out. For MNIST and
    Fashion-MNIST, the first 50,000 images are for training, and the 10,000 test images are held
    out. The labels of an svmlight file are whole numbers from 0 on, or -1 and +1; for two classes,
    the network has one output unit.
    """
    if checkpoint is None and (resume or checkpoint_seconds is not None):
        given = "--resume" if resume else "--checkpoint-seconds"
        raise typer.BadParameter("it needs --checkpoint, the file", param_hint=given)
    all_differ(
        {"--checkpoint": checkpoint, "--out": out, "--json": json_file}, files_read(name, test)
    )
    layers = hidden_layers(hidden)
    strength = strength_for(penalty, lmbda)
    chosen_penalty = None if strength is None else penalty_of(penalty, strength)
    chosen_optimizer = optimizer_of(optimizer, learning_rate, chosen_penalty)
    goes_on = resume and checkpoint is not None and checkpoint.exists()
    write_json = json_writer(json_file)
    rows = named_rows(name, folder, test, features).book()
    network = rows.network(layers, dtype, seed)
    typer.echo(
        f"{name}: {len(rows.y):,} training {rows.what}, {len(rows.y_test):,} held out; "
        f"network {network.sizes}, {dtype}"
    )
    history = network.fit(
        rows.X,
        rows.y,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=chosen_optimizer,
        penalty=chosen_penalty,
        validation_data=(rows.X_test, rows.y_test),
        progress=is_terminal(sys.stdout, sys.stderr),
        threads=threads,
        callbacks=[_lines(epochs)],
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
        resume=resume,
    )
    summary = _summary(network, history, len(rows.y))
    if out is not None:
        network.save(out, optimizer_state=False)
        summary["model"] = str(out)
        picture = _draw(history, out.with_name(f"{out.stem}.curves.png"))
        summary["picture"] = None if picture is None else str(picture)
    _print_summary(summary)
    options = {
        "data": name,
        "sizes": network.sizes,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": chosen_optimizer.learning_rate,
        "penalty": penalty,
        "lmbda": lmbda,
        "dtype": dtype,
        "seed": None if goes_on else seed,  # the checkpoint has the generators
        "threads": threads,
    }
    write_json(options | summary)


def _lines(epochs: int) -> Callback:
    """Return a callback that prints a line for each of `epochs` epochs."""
    from fastnn.callbacks import Callback

    class EpochLines(Callback):
        def epoch_end(self, epoch: int, network: Network, history: History) -> None:
            # The stream is looked up now: a progress bar replaces it by one that writes above it.
            print(
                f"epoch {epoch + 1}/{epochs}  cost {history.train_cost[-1]:.4f}  "
                f"accuracy {100 * history.val_accuracy[-1]:.2f} %  {history.seconds[-1]:.4f} s",
                flush=True,
            )

    return EpochLines()


def _summary(network: Network, history: History, n: int) -> dict[str, Any]:
    """Return the results of a training run."""
    import numpy as np

    best = max(history.val_accuracy)
    return {
        "accuracy": history.val_accuracy[-1],
        "best_accuracy": best,
        "best_epoch": history.val_accuracy.index(best) + 1,
        # The first epoch may include compilation.
        "samples_per_second": n / statistics.median(history.seconds[1:] or history.seconds),
        "near_zero_share": [float((np.abs(w) <= NEAR_ZERO).mean()) for w in network.weights],
        "history": history.to_dict(),
        "model": None,
        "picture": None,
    }


def _draw(history: History, path: Path) -> Path | None:
    """Save the learning curves to `path`; return None if that is not possible."""
    try:
        figure = new_figure(path)
    except ModuleNotFoundError:
        return None
    from fastnn import plots

    plots.learning_curves(history, ax=figure.subplots())
    try:
        figure.savefig(path)
    except OSError as error:  # the model is saved, its figures are not yet printed
        typer.echo(f"fastnn: no picture of the learning curves: {error}", err=True)
        return None
    return path


def _print_summary(summary: dict[str, Any]) -> None:
    shares = ", ".join(f"{100 * share:.1f} %" for share in summary["near_zero_share"])
    typer.echo(
        f"accuracy {100 * summary['accuracy']:.2f} %, "
        f"best {100 * summary['best_accuracy']:.2f} % after epoch {summary['best_epoch']}"
    )
    typer.echo(f"{summary['samples_per_second']:,.0f} samples/s (median epoch)")
    typer.echo(f"weights within {NEAR_ZERO:g} of zero, by layer: {shares}")
    for what in ("model", "picture"):
        if summary[what] is not None:
            typer.echo(f"{what} saved to {summary[what]}")
