"""``fastnn path``: train a network with one strength of a penalty after another."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
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
    Seed,
    Threads,
)
from fastnn.cli.output import (
    all_differ,
    json_writer,
    model_file,
    new_figure,
    print_table,
    written,
)
from fastnn.cli.parsing import hidden_layers, numbers_in, optimizer_of
from fastnn.cli.rows import Features, RowsName, TestFile, files_read, named_rows

if TYPE_CHECKING:
    from rich.table import Table

    from fastnn.regularization_path import PathStep

__all__ = ["SparsePenaltyName", "path"]

SparsePenaltyName = Literal[
    "l1_proximal", "l1_cumulative", "truncated_gradient", "group_lasso", "sparse_group_lasso"
]


def path(
    name: RowsName = "digits",
    folder: DataFolder = None,
    test: TestFile = None,
    features: Features = None,
    hidden: Hidden = ["30"],  # noqa: B006 - typer copies it
    penalty: Annotated[
        SparsePenaltyName, typer.Option(help="A penalty that leaves exact zeros.")
    ] = "l1_proximal",
    lmbda: Annotated[
        str,
        typer.Option(
            metavar="VALUES",
            help="Its strengths, such as 0.1,0.3,1; or LOW:HIGH:COUNT, in equal ratios.",
        ),
    ] = "0.1:10:9",
    epochs: Annotated[
        int, typer.Option(min=1, help="Passes over the training rows for each strength.")
    ] = 10,
    batch_size: BatchSize = 10,
    learning_rate: LearningRate = None,
    optimizer: OptimizerOption = "sgd",
    dtype: Dtype = "float32",
    seed: Seed = 1,
    threads: Threads = None,
    out: Annotated[
        Path | None,
        model_file("Save the chosen network here, compacted"),
    ] = None,
    json_file: JsonFile = None,
    plot: Annotated[
        Path | None,
        written("Plot accuracy and zeros here (matplotlib)."),
    ] = None,
) -> None:
    """Train with increasing penalties and choose a sparse network.

    Each strength starts from the weights that the previous one left. Of the networks within one
    standard error of the best accuracy on the validation rows, the one with the fewest weights is
    chosen. Validation rows are MNIST's and Fashion-MNIST's training images after the first 50,000,
    or every fifth of the digits, or of a file's rows, that are not held out. The held-out rows test
    the chosen network only.
    """
    layers, strengths = hidden_layers(hidden), numbers_in("--lmbda", lmbda)
    all_differ({"--out": out, "--json": json_file, "--plot": plot}, files_read(name, test))
    figure = new_figure(plot)

    from fastnn import penalties
    from fastnn.regularization_path import sparsest

    penalty_of_strength = partial(penalties.named, "--penalty", penalty)
    chosen_optimizer = optimizer_of(optimizer, learning_rate, penalty_of_strength(strengths[0]))
    write_json = json_writer(json_file)
    split = named_rows(name, folder, test, features)
    rows, validation = split.validation()
    network = split.network(layers, dtype, seed)
    typer.echo(
        f"{name}: {len(rows[1]):,} training and {len(validation[1]):,} validation {split.what}; "
        f"network {network.sizes}, {dtype}, {penalty}, {epochs} epochs a strength"
    )
    steps = _shown_path(
        network,
        *rows,
        strengths,
        validation_data=validation,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=chosen_optimizer,
        penalty=penalty_of_strength,
        threads=threads,
    )
    chosen = sparsest(steps)
    test_accuracy = chosen.network.accuracy(split.X_test, split.y_test)
    typer.echo(
        f"chosen: lmbda {chosen.lmbda:g}; of {len(split.y_test):,} test {split.what} "
        f"{100 * test_accuracy:.2f} % are right"
    )
    if out is not None:
        chosen.network.compact()
        chosen.network.save(out, optimizer_state=False)
        typer.echo(f"model saved to {out}")
    if plot is not None:
        _draw(steps, figure, plot)
        typer.echo(f"picture saved to {plot}")
    options = {
        "data": name,
        "sizes": network.sizes,
        "training_rows": len(rows[1]),
        "validation_rows": len(validation[1]),
        "penalty": penalty,
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "learning_rate": chosen_optimizer.learning_rate,
        "dtype": dtype,
        "seed": seed,
        "threads": threads,
        "steps": [_figures(step) for step in steps],
        "chosen_lmbda": chosen.lmbda,
        "test_accuracy": test_accuracy,
    }
    write_json(options)


def _shown_path(*arguments: Any, **options: Any) -> list[PathStep]:
    """Return the steps of `lambda_path`, each a line of a table when it is done."""
    from rich.live import Live

    from fastnn.regularization_path import lambda_path

    table = _table()
    try:
        # The live table has to fit the terminal; it gives way to the whole one.
        with Live(table, auto_refresh=False, transient=True) as live:

            def show(step: PathStep) -> None:
                table.add_row(*_cells(step))
                live.refresh()

            return lambda_path(*arguments, **options, on_step=show)
    finally:
        print_table(table)


def _table() -> Table:
    from rich.table import Table

    table = Table()
    for title in ("lmbda", "cost", "accuracy, %", "zeros, %", "sizes left", "seconds"):
        table.add_column(title, justify="right")
    return table


def _cells(step: PathStep) -> list[str]:
    return [
        f"{step.lmbda:.3g}",
        f"{step.val_cost:.4f}",
        f"{100 * step.accuracy:.2f}",
        " ".join(f"{100 * share:.1f}" for share in step.sparsity),
        " ".join(map(str, step.sizes)),
        f"{step.seconds:.2f}",
    ]


def _figures(step: PathStep) -> dict[str, Any]:
    """Return the figures of a step, without its network."""
    numbers = {field.name: getattr(step, field.name) for field in fields(step)}
    del numbers["network"]
    return numbers


def _draw(steps: list[PathStep], figure: Any, plot: Path) -> None:
    from fastnn import plots

    plots.sparsity_path(steps, ax=figure.subplots())
    figure.savefig(plot)
