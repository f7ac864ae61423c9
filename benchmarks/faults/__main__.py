"""``python -m benchmarks.faults``: rounds of random faults, and of random files.

    python -m benchmarks.faults processes --rounds 200
    python -m benchmarks.faults files --rounds 200

A round's seed decides which faults it meets, but not at which instruction of a process they strike. Figures are kept
in a JSON file after each round; the same command goes on from there. ``page`` puts them into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from benchmarks.faults.clock import with_clock
from benchmarks.faults.figures import play, summary, write_page

FIGURES = Path("docs/benchmark/faults.json")
# Of OpenMP, OpenBLAS and Arrow's memory pool.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


def main() -> int:
    """Returns 1 if a round found a problem."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("kind", choices=["processes", "files", "page"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--output", type=Path, default=FIGURES, help="JSON file of the figures")
    parser.add_argument("--examples", type=int, default=50, help="random files of each kind in a round of files")
    given = parser.parse_args()
    if given.kind == "page":
        write_page(Path("docs/reliability.md"), json.loads(given.output.read_text(encoding="utf-8")))
        return 0
    if given.kind == "processes":
        # Threads would be in the way of forking, and of other work.
        os.environ |= ONE_THREAD
        code = with_clock(sys.argv[1:])
        if code is not None:
            return code
        from benchmarks.faults.processes import Arena

        with Arena() as arena:
            rounds = play("processes", given.rounds, given.seed, given.output, arena.play)
    else:
        from benchmarks.faults.files import play_files

        rounds = play("files", given.rounds, given.seed, given.output, lambda seed: play_files(seed, given.examples))
    print(summary(rounds))
    return 1 if any(one["problems"] for one in rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
