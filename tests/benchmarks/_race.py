"""Candidates run in turn, so that a busy machine is busy for all of them; CPU time of this process, not the clock."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def race(candidates: Mapping[str, Callable[[], object]], *, rounds: int = 9, warm: int = 1) -> dict[str, float]:
    """Median CPU milliseconds of each candidate over interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for i in range(warm + rounds):
        for name, run in candidates.items():
            start = time.process_time()
            run()
            if i >= warm:
                times[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def table(head: Sequence[str], *rows: Sequence[object]) -> None:
    """Print aligned columns: the first to the left, numbers to the right in three significant digits."""
    cells = [[f"{c:.3g}" if isinstance(c, float) else str(c) for c in row] for row in (head, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    for row in cells:
        print(
            "  " + "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
        )
