"""Coverage-guided fuzzing of what reads files, one format at a time; needs the package atheris.

    pip install atheris
    python tests/fuzz.py json -runs=200000

The formats and what must hold are those of test_hostile_files.py; what follows the format is for
libFuzzer. It starts from the same sound files, and keeps what reaches new code in a folder of its
own, which is gone afterwards. An input that breaks a rule is written to the current folder.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

os.environ["NUMBA_DISABLE_JIT"] = "1"  # nothing is compiled, and formulas are instrumented too

import atheris

# fastnn loads its modules where they are used, most of them with what this one imports.
with atheris.instrument_imports(include=["fastnn"]):
    import test_hostile_files as hostile

import fastnn


def main(name: str, options: list[str]) -> None:
    """Fuzz one format until libFuzzer's options say that it is enough."""
    warnings.simplefilter("ignore")  # to show one, Python opens the source file
    with tempfile.TemporaryDirectory() as folder:
        form = hostile.FORMATS[name]
        path = Path(folder) / form.name
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        seeds, zipped = form.seeds(Path(folder)), form.zipped == (True,)
        for number, seed in enumerate(seeds):
            (corpus / str(number)).write_bytes(seed)

        def write(content: bytes) -> None:
            path.write_bytes(gzip.compress(content, 1) if zipped else content)

        def one(content: bytes) -> None:
            write(content)
            hostile.outcome(form, path)

        for content in (*seeds, b"", b"other"):  # what is imported at first use is no other file
            write(content)
            with suppress(fastnn.FileFormatError):
                form.sound(form.read(path))
        atheris.Setup([sys.argv[0], *options, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in hostile.FORMATS:
        sys.exit(
            f"usage: python {sys.argv[0]} {{{','.join(hostile.FORMATS)}}} [option of libFuzzer ...]"
        )
    main(sys.argv[1], sys.argv[2:])
