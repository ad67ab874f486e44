"""Options that several commands share: their types, ranges and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from fastnn.cli.output import json_file, written
from fastnn.cli.parsing import finite

__all__ = [
    "BatchSize",
    "DataFolder",
    "DataName",
    "Dtype",
    "Hidden",
    "JsonFile",
    "LearningRate",
    "OptimizerName",
    "OptimizerOption",
    "PenaltyName",
    "PlotFile",
    "Seed",
    "Threads",
]

PenaltyName = Literal[
    "l1",
    "l1_proximal",
    "l1_cumulative",
    "truncated_gradient",
    "l2",
    "elasticnet",
    "group_lasso",
    "sparse_group_lasso",
    "max_norm",
]

OptimizerName = Literal[
    "sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw", "ftrl"
]

DataName = Literal["digits", "mnist", "fashion"]

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Folder with the IDX files, or with mnist/ and fashion-mnist/ [default: $FASTNN_DATA, "
        "else the cache].",
    ),
]

Hidden = Annotated[
    list[str],
    typer.Option(
        metavar="UNITS",
        help="Units of the hidden layers, such as 100,30; or none. Repeat it to add layers.",
    ),
]

JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        dir_okay=False,
        allow_dash=True,
        callback=json_file,
        help="Write all figures here as JSON; without FILE, or with -, to standard output, and all "
        "else to standard error.",
    ),
]

PlotFile = Annotated[Path | None, written("Save a picture (matplotlib).", "--plot")]

BatchSize = Annotated[int, typer.Option(min=1, help="Rows per mini-batch.")]

LearningRate = Annotated[
    float | None,
    typer.Option(
        min=0,
        callback=finite,
        help="Learning rate (eta) [default: the optimizer's own, 0.5 for sgd].",
    ),
]

OptimizerOption = Annotated[OptimizerName, typer.Option(help="How a gradient becomes a step.")]

Dtype = Annotated[Literal["float32", "float64"], typer.Option(help="Dtype of the computations.")]

Seed = Annotated[int, typer.Option(min=0, help="Seed of initial weights and row orders.")]

Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="Threads that share a batch [default: 1 if it is small, else one per CPU]."
    ),
]
