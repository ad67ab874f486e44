"""Coverage-guided fuzzing of the file readers, one format at a time; needs the package atheris.

    pip install atheris
    python tests/fuzz.py json -runs=200000

The formats and the rules are those of test_hostile_files.py; options after the format are passed to
libFuzzer. It starts from the same valid files, and keeps inputs that reach new code in a temporary
folder. An input that breaks a rule is written to the current folder.
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

# fastnn imports its modules lazily; this import triggers most of them.
with atheris.instrument_imports(include=["fastnn"]):
    import test_hostile_files as hostile

import fastnn


def main(name: str, options: list[str]) -> None:
    """Fuzz one format until a limit in libFuzzer's options is reached."""
    warnings.simplefilter("ignore")  # to show one, Python would open the source file
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

        for content in (*seeds, b"", b"other"):  # so that lazy imports open no files later
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
