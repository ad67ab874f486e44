"""The command line: ``fastnn train``, ``predict``, ``data``, ``warmup`` and ``bench``.

Exit status: 0, 1 (failed; one line on standard error says why), 2 (wrong usage), 130 (Ctrl-C).
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from fastnn.bench.command import bench

if TYPE_CHECKING:
    import numpy as np

    from fastnn.history import History
    from fastnn.network import Network
    from fastnn.penalties import Penalty

__all__ = ["app", "main"]

DataName = Literal["digits", "mnist", "fashion"]
PenaltyName = Literal["none", "l1", "l1_proximal", "l2", "elasticnet"]

TRAINING_IMAGES = 50_000  # the book's share of MNIST's 60,000; the other 10,000 are not used
NEAR_ZERO = 1e-4


@contextmanager
def _failures_in_one_line() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("fastnn: interrupted", err=True)
        raise typer.Exit(130) from None
    except BrokenPipeError:
        raise
    except (ImportError, MemoryError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        typer.echo(f"fastnn: {reason}", err=True)
        raise typer.Exit(1) from None


class _Commands(TyperGroup):
    """The commands, with every failure they may end in told in one line."""

    def invoke(self, ctx: Any) -> Any:
        with _failures_in_one_line():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Commands,
    help="Fully connected networks, trained fast on the CPU.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="List, fetch and verify data sets.", rich_markup_mode=None)
app.add_typer(data_app, name="data")

DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER",
        help="Folder with the IDX files, or with mnist/ and fashion-mnist/ [default: $FASTNN_DATA, "
        "else the cache].",
    ),
]


def main() -> None:
    """Run the command line; what the ``fastnn`` script calls."""
    app(prog_name="fastnn")


# ------------------------------------------------------------------------------------- fastnn train


def _hidden_layers(values: list[str]) -> list[int]:
    sizes = [size.strip() for value in values for size in value.split(",")]
    if not all(size.isdecimal() and int(size) > 0 for size in sizes):
        raise typer.BadParameter(
            f"whole numbers above 0 are expected, such as 30 or 100,30, not {','.join(sizes)!r}",
            param_hint="--hidden",
        )
    return [int(size) for size in sizes]


def _penalty(name: str, lmbda: float | None) -> Penalty | None:
    from fastnn import penalties

    if name == "none":
        if lmbda is not None:
            raise typer.BadParameter("it needs a --penalty", param_hint="--lmbda")
        return None
    if lmbda is None:
        raise typer.BadParameter(f"{name} needs its strength, --lmbda", param_hint="--penalty")
    return {penalty.name: penalty for penalty in penalties.ALL}[name](lmbda)


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"a finite number is expected, not {value}")
    return value


def _writable(path: Path | None) -> Path | None:
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}")
    return path


@app.command()
def train(
    name: Annotated[DataName, typer.Argument(metavar="[DATA]", help="Data set.")] = "digits",
    folder: DataFolder = None,
    hidden: Annotated[
        list[str],
        typer.Option(
            metavar="UNITS", help="Units of a hidden layer; several: 100,30 or given again."
        ),
    ] = ["30"],  # noqa: B006 - typer copies it
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Images a step.")] = 10,
    learning_rate: Annotated[
        float, typer.Option(min=0, callback=_finite, help="The book's eta.")
    ] = 0.5,
    lmbda: Annotated[
        float | None,
        typer.Option(
            min=0, callback=_finite, help="Strength of the penalty over the whole training set."
        ),
    ] = None,
    penalty: Annotated[
        PenaltyName,
        typer.Option(help="Of the weights; in the elastic net, L1 and L2 have half of lmbda each."),
    ] = "none",
    dtype: Annotated[
        Literal["float32", "float64"], typer.Option(help="What the network computes in.")
    ] = "float32",
    seed: Annotated[int, typer.Option(min=0, help="Of initial values and shuffles.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads a batch is shared by [default: what pays].")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            dir_okay=False,
            callback=_writable,
            help="Save the network here, as JSON; with matplotlib also a picture of the learning "
            "curves beside it.",
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object; progress goes to standard error."),
    ] = False,
) -> None:
    """Train a network and report on images it has not seen.

    The digits come with the package: 1,437 are trained on and 360 held out. MNIST and
    Fashion-MNIST train on their first 50,000 images and report on the 10,000 test images.
    """
    layers = _hidden_layers(hidden)
    chosen_penalty = _penalty(penalty, lmbda)

    from fastnn import data, trainer
    from fastnn.callbacks import Callback
    from fastnn.network import Network

    lines = sys.stderr if as_json else sys.stdout
    on_terminal = lines.isatty() and sys.stderr.isatty()
    images, labels, test_images, test_labels, input_scale, *_ = data.load(
        name, folder, progress=sys.stderr.isatty()
    )
    images, labels = images[:TRAINING_IMAGES], labels[:TRAINING_IMAGES]
    network = Network(
        [images.shape[1], *layers, int(labels.max()) + 1],
        dtype=dtype,
        input_scale=input_scale,
        seed=seed,
    )

    class PrintEpochs(Callback):
        def epoch_end(self, epoch: int, network: Network, history: History) -> None:
            typer.echo(
                f"epoch {epoch + 1}/{epochs}  cost {history.train_cost[-1]:.4f}  "
                f"accuracy {100 * history.val_accuracy[-1]:.2f} %  {history.seconds[-1]:.4f} s",
                err=as_json,
            )

    typer.echo(
        f"{name}: {len(images):,} training images, {len(test_images):,} held out; "
        f"network {network.sizes}, {dtype}",
        err=as_json,
    )
    history = trainer.fit(
        network,
        images,
        labels,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        penalty=chosen_penalty,
        validation_data=(test_images, test_labels),
        progress=on_terminal,
        threads=threads,
        callbacks=[PrintEpochs()],
    )
    summary = _summary(network, history, len(images))
    if out is not None:
        network.save(out)
        summary["model"] = str(out)
        picture = _draw(history, out.with_name(f"{out.stem}.curves.png"))
        summary["picture"] = None if picture is None else str(picture)
    if as_json:
        options = {
            "data": name,
            "sizes": network.sizes,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "penalty": penalty,
            "lmbda": lmbda,
            "dtype": dtype,
            "seed": seed,
            "threads": threads,
        }
        typer.echo(json.dumps(options | summary, allow_nan=False))
    else:
        _print_summary(summary)


def _summary(network: Network, history: History, n: int) -> dict[str, Any]:
    """Return what a training run came to; a cost that is not finite is None, as JSON needs it."""
    import numpy as np

    best = max(history.val_accuracy)
    return {
        "accuracy": history.val_accuracy[-1],
        "best_accuracy": best,
        "best_epoch": history.val_accuracy.index(best) + 1,
        # The first epoch compiles; the median does not see it.
        "samples_per_second": n / statistics.median(history.seconds),
        "near_zero_share": [float((np.abs(w) <= NEAR_ZERO).mean()) for w in network.weights],
        "history": {
            series: [value if math.isfinite(value) else None for value in values]
            for series, values in history.to_dict().items()
        },
        "model": None,
        "picture": None,
    }


def _draw(history: History, path: Path) -> Path | None:
    """Save the learning curves to `path`; without matplotlib do nothing and return None."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return None
    from fastnn import plots

    figure = Figure(layout="constrained")  # not pyplot's, which may open a window
    plots.learning_curves(history, ax=figure.subplots())
    figure.savefig(path)
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


# ----------------------------------------------------------------------------------- fastnn predict


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What train --out has saved.")],
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="IDX file (plain or gzipped) or npy file, one image a row; more dimensions "
            "after the first are taken as one row.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the class of each image, one a line."""
    from fastnn import network

    classes = network.load(model).predict(_read_images(images)).tolist()
    if as_json:
        typer.echo(json.dumps({"model": str(model), "images": str(images), "classes": classes}))
    else:
        typer.echo("\n".join(map(str, classes)))


def _read_images(path: Path) -> np.ndarray:
    import numpy as np

    from fastnn import data

    with open(path, "rb") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
    # A memory map needs no more memory than the file has bytes, and takes no pickled objects.
    array: np.ndarray = np.lib.format.open_memmap(path, mode="r") if is_npy else data.read_idx(path)
    return array.reshape(len(array), -1) if array.ndim > 2 else array


# -------------------------------------------------------------------------------------- fastnn data


@data_app.callback(invoke_without_command=True)
def _data(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        list_data()


@data_app.command("list")
def list_data(folder: DataFolder = None) -> None:
    """Say of each data set where its files are."""
    from fastnn import data

    for name in data.NAMES:
        paths = data.available(name, folder)
        typer.echo(f"{name:8} {'not here' if paths is None else paths[0].parent}")


@data_app.command("fetch")
def fetch_data(name: DataName) -> None:
    """Download a data set into the cache and print its files."""
    from fastnn import data

    for path in data.fetch(name, progress=sys.stderr.isatty()):
        typer.echo(path)


@data_app.command("verify")
def verify_data(name: DataName, folder: DataFolder = None) -> None:
    """Check the content of a data set's files and print them."""
    from fastnn import data

    for path in data.verify(name, folder):
        typer.echo(f"{path}: as it should be")


# ------------------------------------------------------------------------------------ fastnn warmup


@app.command()
def warmup() -> None:
    """Compile the usual kernels into the cache, so that later runs start at once."""
    from fastnn.engine import cache, jit
    from fastnn.engine.warmup import USUAL, warm_up

    if not jit.is_on():
        raise ValueError("there is nothing to compile while NUMBA_DISABLE_JIT is set")
    seconds = 0.0
    for case in USUAL:
        typer.echo(f"{case}: ", nl=False)
        taken = warm_up(case)
        typer.echo(f"{taken:.2f} s")
        seconds += taken
    places = " or ".join(map(str, cache.folders()))
    typer.echo(f"{len(USUAL)} kernels ready after {seconds:.1f} s, in {places}")


# ------------------------------------------------------------------------------------- fastnn bench

app.command()(bench)
