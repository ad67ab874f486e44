"""One case in a separate process, pinned to its CPUs before any library has started threads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from fastnn import machine
from fastnn.bench import surroundings
from fastnn.bench.cases import Case
from fastnn.bench.timing import Effort

__all__ = ["run"]


def run(case: Case, peers: Sequence[str], effort: Effort) -> dict[str, Any]:
    """Run `case` in a new process and return what `_measure` returned there.

    Raises
    ------
    ValueError
        If it failed there; the message ends with the last line of the process's standard error.
    """
    settings = json.dumps({"case": case.encode(), "peers": list(peers), "effort": list(effort)})
    ended = subprocess.run(
        [sys.executable, "-m", "fastnn.bench.worker"],
        input=settings,
        env=surroundings.environment(case.threads),
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        reason = ended.stderr.strip().splitlines()[-1:] or [f"exit status {ended.returncode}"]
        raise ValueError(f"case {case.name}: {reason[0]}")
    measured: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return measured


def _measure(case: Case, peers: list[str], effort: Effort) -> dict[str, Any]:
    """Check that all contestants compute the same, time them, and measure the machine's limit."""
    pinned = machine.pin(case.threads)
    from fastnn.bench import agreement, contestants, problem, roofline, timing

    if effort.rows is not None:
        case = case.with_rows(min(case.n, effort.rows))
    given = problem.problem(case)
    agreements = {} if case.work == "penalty" else agreement.check(case, given, peers)
    runs, what = {}, {}
    for name, entrant in contestants.entrants(case, peers).items():
        contestant, epoch = entrant.run(given)
        runs[name], what[name] = (epoch, contestant.epochs), entrant.what
    times = timing.in_turn(runs, case.n, effort)
    bounds = roofline.limit(case, given)
    return {
        "name": case.name,
        "title": case.title,
        "case": json.loads(case.encode()),
        "data": given.origin,
        "pinned": pinned,
        "machine": surroundings.describe(),
        "results": {
            name: {
                "what": what[name],
                "seconds": found.seconds,
                "best": found.best,
                "median": found.median,
                "best_ratio": found.best / times[contestants.FASTNN].best,
                "paired_ratio": found.paired_ratio(times[contestants.FASTNN]),
                "agreement": agreements[name]._asdict() if name in agreements else None,
            }
            for name, found in times.items()
        },
        "missing": [name for name in case.peers if name in peers and name not in times],
        "limit": bounds._asdict()
        | {"seconds": bounds.seconds, "parts": bounds.parts, "bound": bounds.bound},
    }


if __name__ == "__main__":
    given = json.load(sys.stdin)
    decoded = Case.decode(given["case"])
    print(json.dumps(_measure(decoded, given["peers"], Effort(*given["effort"]))))
