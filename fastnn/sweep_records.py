"""The results of a sweep: its records, and the file from which a second call continues."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastnn.checks import FileFormatError, not_installed, one_of, warn
from fastnn.files import csv_text, replace_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = [
    "SCORES",
    "Records",
    "ResultsFile",
    "last_of_each_trial",
    "ranked",
    "score_of",
    "warn_of_failures",
]

FORMAT = "fastnn sweep"
VERSION = 1

# The scores by which trials are compared; a network has one of them.
SCORES = ("val_accuracy", "val_r2")


class Records(list[dict[str, Any]]):
    """The results of a sweep: a list with a dict for each trial, in the order of the trials.

    A record has the trial's number ``trial``, its parameters in the form in which JSON keeps them
    (a penalty as its ``repr``), with halving the ``rung``, and

    * ``train_cost``, ``val_cost``, ``val_accuracy`` or ``val_r2``: those of `History` for the epoch
      whose weights the network has; NaN and infinity become None, and what was not measured is left
      out,
    * ``zeros``: the share of exact zeros, 0 to 1, among all weights,
    * ``epochs_done`` and ``seconds``: the number of epochs, and their wall time,
    * ``error``: None, or the error with which the trial failed; it then has none of these figures.
    """

    def best(self, by: str = "score") -> dict[str, Any]:
        """Return the record with the best validation score or, without one, the lowest cost.

        Of equally good records this is the first; with halving it is one of the last rung that has
        a finite score.

        Parameters
        ----------
        by : {"score", "val_cost", "train_cost"}
            What decides: the score, or the lowest of a cost.

        Raises
        ------
        ValueError
            If no trial has a finite score, or cost; or if `by` is none of these.
        """
        by = one_of("by", by, ("score", "val_cost", "train_cost"))
        first = next(iter(ranked(self, by)), None)
        if first is None or score_of(first, by) == -math.inf:
            raise ValueError(f"none of these trials has a finite {by}")
        return first

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line for each record to `path`; lists and dicts become JSON, None an empty cell.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        names = list(dict.fromkeys(name for record in self for name in record))
        cells = ([record.get(name) for name in names] for record in self)
        rows = ([json.dumps(c) if isinstance(c, (list, dict)) else c for c in row] for row in cells)
        replace_text(path, csv_text(names, rows))

    def to_pandas(self) -> pandas.DataFrame:
        """Return the records as a pandas DataFrame.

        Raises
        ------
        ModuleNotFoundError
            If pandas is not installed.
        """
        try:
            import pandas
        except ModuleNotFoundError as error:
            raise not_installed("to_pandas", "pandas", "pandas") from error
        return pandas.DataFrame(list(self))

    def plot(self, parameter: str, *, by: str | None = None, ax: Axes | None = None) -> Axes:
        """Plot the score against `parameter`, as `fastnn.plots.sweep_scores` does."""
        from fastnn.plots import sweep_scores

        return sweep_scores(self, parameter, by=by, ax=ax)


class ResultsFile:
    """A file of JSON lines: the first identifies the data, each other one is a finished trial.

    Parameters
    ----------
    path : path
        Created if it does not exist. An unfinished last line, left by a process that was killed
        while writing, is cut off.
    data : str
        Identifies the data that the trials train on; a file for other data is refused.

    Attributes
    ----------
    found : dict of str to dict
        The figures of the trials that were in the file and had not failed, by their keys.

    Raises
    ------
    FileFormatError
        If the file is not a results file, is damaged, or is for other data.
    OSError
        If it cannot be read or written.
    """

    def __init__(self, path: str | os.PathLike[str], data: str) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self._path, first = os.fspath(path), {FORMAT: VERSION, "data": data}
        if os.path.exists(path) and not os.path.isfile(path):
            raise FileFormatError(f"{self._path} is no file that a sweep could continue from")
        with open(path, "a+b") as file:
            file.seek(0)
            *lines, unfinished = file.read().split(b"\n")
            for number, line in enumerate(lines, 1):
                self._read(number, line, data)
            if not lines and not json.dumps(first).encode().startswith(unfinished):
                raise FileFormatError(
                    f"{self._path} is not a file of a sweep's results: give another file"
                )
            if unfinished:
                file.truncate(file.tell() - len(unfinished))
        if not lines:
            self._append(first)

    def add(self, key: str, figures: Mapping[str, Any]) -> None:
        """Append a finished trial; it is on disk when this returns."""
        self._append({"trial": json.loads(key), "figures": figures})

    def _append(self, line: Mapping[str, Any]) -> None:
        with open(self._path, "ab") as file:
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _read(self, number: int, text: bytes, data: str) -> None:
        try:
            line = json.loads(text)
            if number == 1:
                known, of = line[FORMAT] == VERSION, line["data"]
            else:
                known, of = True, data
                if line["figures"]["error"] is None:
                    key = json.dumps(line["trial"], sort_keys=True)
                    self.found[key] = line["figures"]
        except (ValueError, KeyError, TypeError):
            known, of = False, data
        if not known:
            raise FileFormatError(
                f"{self._path}, line {number}: not a line of a sweep's results; "
                "mend it, or give another file"
            )
        if of != data:
            raise FileFormatError(
                f"{self._path} has the results of other data ({of}, not {data}): give another file"
            )


def score_of(record: Mapping[str, Any], by: str = "score") -> float:
    """Return a number that is larger for better trials, minus infinity if there is none.

    It is the validation score or, without one, minus the cost; or minus the cost that `by` names.
    """
    for name in SCORES if by == "score" else ():
        if name in record:
            return -math.inf if record[name] is None else float(record[name])
    cost = record.get("train_cost" if by == "score" else by)
    return -math.inf if cost is None else -float(cost)


def ranked(records: Iterable[dict[str, Any]], by: str = "score") -> list[dict[str, Any]]:
    """Return the records from best to worst `by` what `Records.best` names; ties stay in order.

    With halving, those of a later rung come first; records without a finite score come last.
    """
    return sorted(
        records,
        key=lambda r: (score_of(r, by) > -math.inf, r.get("rung", 0), score_of(r, by)),
        reverse=True,
    )


def last_of_each_trial(records: Iterable[dict[str, Any]]) -> Records:
    """Return each trial's record, with halving that of its last rung, in the trials' order.

    Failed records are left out.
    """
    good = [record for record in records if record["error"] is None]
    last = {record["trial"]: record for record in sorted(good, key=lambda r: r.get("rung", 0))}
    return Records(last[trial] for trial in sorted(last))


def warn_of_failures(records: Sequence[dict[str, Any]]) -> None:
    """Warn if some trials failed.

    Raises
    ------
    ValueError
        If no record has figures.
    """
    failed = [record for record in records if record["error"] is not None]
    if not failed:
        return
    count, total = (len({record["trial"] for record in each}) for each in (failed, records))
    first = f"the first, trial {failed[0]['trial']}: {failed[0]['error']}"
    if len(failed) == len(records):
        raise ValueError(f"all {count} trials failed; {first}")
    warn(f"{count} of {total} trials failed; {first}", RuntimeWarning)
