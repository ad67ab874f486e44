"""The programs of the book's chapters 1 to 3, as in docs/book.md, run in full.

``python benchmarks/book_chapters.py`` prints the page's table of results, and with ``--write`` also
writes it to the page. It needs MNIST (`fastnn.nielsen.mnist_loader`) and takes minutes on one
thread; ``--only TEXT`` runs only the programs whose titles contain this text.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import platform
import random
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

import fastnn
from fastnn import machine
from fastnn.nielsen import mnist_loader, network, network2

PAGE = Path(__file__).parent.parent / "docs" / "book.md"
SEEDS = (1, 2, 3)

BLOCK = re.compile(r"^```python mnist long\n# (\d)\. (.*): (.*)\n((?:.*\n)*?)```$", re.M)
RESULTS = re.compile(r"(?<=<!-- results -->\n\n).*?(?=\n<!-- end of results -->)", re.S)
SHOWN = re.compile(r" in the first (\d+) epochs")
PRINTED = re.compile(r"^(?:Epoch \d+|Accuracy on evaluation data): (\d+) / (\d+)$", re.M)


class Program(NamedTuple):
    """A block of the page: its chapter, its title, what the book reports, and its text."""

    chapter: int
    title: str
    published: str
    text: str

    @property
    def epochs(self) -> int | None:
        """The number of epochs that the book prints, or None for all."""
        shown = SHOWN.search(self.published)
        return int(shown[1]) if shown else None


class Run(NamedTuple):
    """The accuracy of the best epoch in percent, and the processor time in seconds."""

    best: float
    seconds: float


def programs() -> list[Program]:
    found = BLOCK.findall(PAGE.read_text("utf-8"))
    return [Program(int(chapter), *rest) for chapter, *rest in found]


def namespace() -> dict[str, Any]:
    """Return the names that the page's first block defines for the programs."""
    names = ("training_data", "validation_data", "test_data")
    data = dict(zip(names, mnist_loader.load_data_wrapper(), strict=True))
    return {"network": network, "network2": network2} | data


def few(given: dict[str, Any]) -> dict[str, Any]:
    """Return the same names with each list cut to 100 images."""
    return {name: v[:100] if isinstance(v, list) else v for name, v in given.items()}


def run(program: Program, seed: int, given: dict[str, Any]) -> Run:
    """Run a program from a seed and read its accuracies from its output; leave `given` as it is."""
    own = {name: list(value) if isinstance(value, list) else value for name, value in given.items()}
    random.seed(seed)
    np.random.seed(seed)
    out, start = io.StringIO(), process_time()
    with contextlib.redirect_stdout(out), warnings.catch_warnings():
        warnings.simplefilter("ignore", fastnn.RegularizationWarning)
        exec(compile(program.text, program.title, "exec"), own)
    seconds = process_time() - start
    shares = [100 * int(right) / int(of) for right, of in PRINTED.findall(out.getvalue())]
    return Run(max(shares[: program.epochs]), seconds)


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def lines(seeds: Sequence[int], only: str) -> Iterator[str]:
    """Yield the lines of the table, each as soon as its programs have run."""
    yield row("chapter", "program", "the book", f"seeds {', '.join(map(str, seeds))}", "seconds")
    yield row(*["---"] * 5)
    given = namespace()
    for program in programs():
        if only in program.title:
            run(program, 0, few(given))  # compiles what the disk cache lacks
            runs = [run(program, seed, given) for seed in seeds]
            best = ", ".join(f"{each.best:.2f}" for each in runs)
            seconds = min(each.seconds for each in runs)
            yield row(
                str(program.chapter),
                program.title,
                program.published,
                f"{best} %",
                f"{seconds:.1f}",
            )


def where() -> str:
    return (
        f"Processor time, the shortest of the runs, on one core of {machine.cpu_name()}; Python\n"
        f"{platform.python_version()}, numpy {np.__version__}. The compilation is not in it. Load "
        f"average at the end: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--only", default="")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if options.write and options.only:
        parser.error("--write needs all programs, without --only")
    machine.pin(1)
    table = ""
    with threadpool_limits(1):
        for line in lines(options.seeds, options.only):
            print(line, end="", flush=True)
            table += line
    print(f"\n{where()}", end="")
    if options.write:
        text = f"{table}\n{where()}"
        PAGE.write_text(RESULTS.sub(lambda match: text, PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
