"""``fastnn sweep``: train many networks, each with its own parameters."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastnn.checks import whole
from fastnn.cli.options import DataFolder, Dtype, JsonFile
from fastnn.cli.output import (
    all_differ,
    is_terminal,
    json_writer,
    model_file,
    new_figure,
    print_table,
    written,
)
from fastnn.cli.parsing import (
    hidden_layers,
    names_in,
    numbers_in,
    optimizer_of,
    penalty_of,
    strength_for,
)
from fastnn.cli.rows import Features, RowsName, Split, TestFile, files_read, named_rows

if TYPE_CHECKING:
    from fastnn.penalties import Penalty
    from fastnn.sweep_records import Records

__all__ = ["sweep"]

SHOWN = 10  # lines of the table

VALUES = "Values, such as 0.1,0.5; LOW:HIGH:COUNT, in equal ratios; or LOW:HIGH, with --samples."


def sweep(
    name: RowsName = "digits",
    folder: DataFolder = None,
    test: TestFile = None,
    features: Features = None,
    hidden: Annotated[
        list[str],
        typer.Option(
            metavar="UNITS",
            help="Hidden layers of one network, such as 100,30; repeat it for more networks.",
        ),
    ] = ["30"],  # noqa: B006 - typer copies it
    learning_rate: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES", help=f"{VALUES} [default: each optimizer's own, 0.5 for sgd]"
        ),
    ] = None,
    batch_size: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Rows per mini-batch, such as 10,20.")
    ] = "10",
    optimizer: Annotated[
        str, typer.Option(metavar="NAMES", help="Names such as sgd,adam.")
    ] = "sgd",
    penalty: Annotated[
        str, typer.Option(metavar="NAMES", help="none, or names such as l1,l2.")
    ] = "none",
    lmbda: Annotated[
        str | None, typer.Option(metavar="VALUES", help="Strengths of the penalties.")
    ] = None,
    seed: Annotated[
        str,
        typer.Option(
            metavar="NUMBERS", help="Seeds, such as 1,2, of initial weights and row orders."
        ),
    ] = "1",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training rows.")] = 10,
    dtype: Dtype = "float32",
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Draw this many trials at random [default: all combinations]."),
    ] = None,
    sample_seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of the draws [default: 0].")
    ] = None,
    halving: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Successive halving: keep the best 1 in this many trials, and train these anew "
            "for this many times the epochs.",
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Trials at a time [default: one per CPU].")
    ] = None,
    results: Annotated[
        Path | None,
        written("Record each trial here as JSON lines; the same command continues from it."),
    ] = None,
    json_file: JsonFile = None,
    csv: Annotated[
        Path | None,
        written("Write a table here as CSV."),
    ] = None,
    plot: Annotated[
        Path | None,
        written("Plot the accuracy here (matplotlib) over the first option with several values."),
    ] = None,
    out: Annotated[
        Path | None,
        model_file("Train the best network again and save it here"),
    ] = None,
) -> None:
    """Train a network for each combination of values and show the best.

    The trials are ranked on the validation rows: MNIST's and Fashion-MNIST's training images after
    the first 50,000, or every fifth of the digits, or of a file's rows, that are not held out. The
    held-out rows test the best network only, if --out is given.
    """
    drawn = samples is not None
    if sample_seed is not None and not drawn:
        raise typer.BadParameter("it needs --samples", param_hint="--sample-seed")
    all_differ(
        {"--results": results, "--json": json_file, "--csv": csv, "--plot": plot, "--out": out},
        files_read(name, test),
    )
    rates = {}
    if learning_rate is not None:
        rates["learning_rate"] = numbers_in(
            "--learning-rate", learning_rate, drawn=drawn, above=0.0
        )
    space: dict[str, Any] = {
        **rates,
        "batch_size": _whole_numbers("--batch-size", batch_size, minimum=1),
        "seed": _whole_numbers("--seed", seed, minimum=0),
        **_rules(optimizer, penalty, lmbda, drawn),
    }
    layers = [hidden_layers([value]) for value in hidden]
    figure = new_figure(plot)

    from fastnn import sweeps
    from fastnn.machine import cpus
    from fastnn.sweep_records import last_of_each_trial

    write_json = json_writer(json_file)
    split = named_rows(name, folder, test, features)
    rows, validation = split.validation()
    space = {"sizes": [split.sizes(units) for units in layers], **space}
    trials = _trials(space, samples, sample_seed)
    common: dict[str, Any] = {"epochs": epochs, "dtype": dtype, "input_scale": split.input_scale}
    workers = min(cpus() if jobs is None else jobs, len(trials))
    typer.echo(
        f"{name}: {len(rows[1]):,} training and {len(validation[1]):,} validation {split.what}; "
        f"{len(trials)} trials, {workers} at a time"
    )
    records = sweeps.sweep(
        *rows,
        trials,
        validation_data=validation,
        halving=halving,
        results=results,
        n_jobs=workers,
        progress=is_terminal(sys.stderr),
        **common,
    )
    varied = [key for key, values in space.items() if hasattr(values, "rvs") or len(values) > 1]
    last = last_of_each_trial(records)
    _show(last, varied)
    if csv is not None:
        records.to_csv(csv)
        typer.echo(f"table written to {csv}")
    if plot is not None:
        last.plot(varied[0] if varied else "seed", ax=figure.subplots())
        figure.savefig(plot)
        typer.echo(f"picture saved to {plot}")
    figures = {
        "data": name,
        "training_rows": len(rows[1]),
        "validation_rows": len(validation[1]),
        "records": records,
    }
    if out is not None:
        best = records.best()
        trial = common | trials[best["trial"]] | {"epochs": best["epochs"]}  # those of its rung
        figures["test_accuracy"] = _save(trial, rows, validation, split, out)
        figures["model"] = str(out)
    write_json(figures)


def _trials(
    space: dict[str, Any], samples: int | None, sample_seed: int | None
) -> list[dict[str, Any]]:
    """Return all combinations in a space, or as many as --samples asks for."""
    from fastnn.sweep_space import grid, sample

    if samples is None:
        return grid(space)
    try:
        return sample(space, samples, seed=sample_seed or 0)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--samples") from None


def _save(
    trial: dict[str, Any],
    rows: tuple[Any, Any],
    validation: tuple[Any, Any],
    split: Split,
    out: Path,
) -> float:
    """Train the network of a trial again and save it; return its accuracy on the held-out rows."""
    from fastnn import sweeps

    network, _ = sweeps.train(trial, *rows, validation_data=validation)
    network.save(out, optimizer_state=False)
    accuracy = network.accuracy(split.X_test, split.y_test)
    typer.echo(
        f"of {len(split.y_test):,} test {split.what} {100 * accuracy:.2f} % are right; "
        f"model saved to {out}"
    )
    return accuracy


def _whole_numbers(option: str, text: str, minimum: int) -> list[int]:
    try:
        return [whole(option, int(number), minimum=minimum) for number in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"whole numbers of at least {minimum} are expected, such as 10,20, not {text!r}",
            param_hint=option,
        ) from None


def _rules(optimizer: str, penalty: str, lmbda: str | None, drawn: bool) -> dict[str, Any]:
    """Return the part of the space that --optimizer, --penalty and --lmbda describe."""
    from fastnn import optimizers, penalties

    kinds = _classes("--optimizer", optimizer, optimizers.ALL)
    space: dict[str, Any] = {"optimizer": kinds}
    tried: list[Penalty | None] = [None]
    if (text := strength_for(penalty, lmbda)) is not None:
        chosen = _classes("--penalty", penalty, penalties.ALL)
        strengths = numbers_in("--lmbda", text, drawn=drawn)
        some = strengths if isinstance(strengths, list) else [strengths.low]
        tried = [penalty_of(*pair) for pair in itertools.product([p.name for p in chosen], some)]
        space |= {"penalty": chosen, "lmbda": strengths}
    for kind, one in itertools.product(kinds, tried):
        optimizer_of(kind.name, None, one)
    return space


def _classes(option: str, names: str, known: Iterable[Any]) -> list[Any]:
    """Return the classes whose names an option lists."""
    by_name = {one.name: one for one in known}
    return [by_name[name] for name in names_in(option, names, by_name)]


def _show(records: Records, varied: list[str]) -> None:
    """Print the best of the records as a table."""
    from rich import box
    from rich.table import Table

    from fastnn.sweep_records import ranked

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    titles = [key.removesuffix("_size").replace("learning_", "") for key in varied]
    for title in ("trial", *titles, "epochs", "accuracy, %", "cost", "zeros, %", "seconds"):
        table.add_column(title, justify="right", no_wrap=True)
    for record in ranked(records)[:SHOWN]:
        cost = record["val_cost"]
        table.add_row(
            *(_cell(record[key]) for key in ("trial", *varied, "epochs_done")),
            f"{100 * record['val_accuracy']:.2f}",
            "" if cost is None else f"{cost:.4f}",
            f"{100 * record['zeros']:.1f}",
            f"{record['seconds']:.2f}",
        )
    print_table(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_cell, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
