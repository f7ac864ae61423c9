"""``python -m benchmarks.mutants``: are small wrong changes noticed by the tests?

    python -m benchmarks.mutants run --count 300
    python -m benchmarks.mutants page

Draws lines of the modules that make numbers and changes each by one of cosmic-ray's operators, or deletes a statement,
in a copy of the checkout. First the test file that mirrors the module runs, then the fast tests of its room, then the
slow ones. Outcomes are kept after each mutant; the same command goes on. A survivor is looked at by hand: its reason
goes into `equal` (it changes no behaviour) or `open` of the JSON file. `page` writes docs/reliability.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.mutants.figures import Figures, write_page
from benchmarks.mutants.rooms import modules, room, stages
from benchmarks.mutants.sample import sample
from benchmarks.mutants.trial import SURVIVED, Copy, commit, warm_up

FIGURES = Path("docs/benchmark/mutants.json")
SECONDS = 240.0


def main() -> int:
    """Returns 1 if a test fails without any change."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("kind", choices=["run", "page"])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--room", help="only mutants of this room")
    parser.add_argument("--again", action="store_true", help="run the tests on survivors once more")
    parser.add_argument("--output", type=Path, default=FIGURES, help="JSON file of the outcomes")
    given = parser.parse_args()
    figures = Figures.read(given.output)
    if given.kind == "page":
        write_page(Path("docs/reliability.md"), figures)
        return 0
    checkout = Path.cwd()
    drawn = sample(checkout, modules(checkout), given.count, given.seed)
    todo = [mutant for mutant in drawn if given.room in (None, room(mutant.module))]
    todo = [mutant for mutant in todo if figures.outcome(mutant) in ((None, SURVIVED) if given.again else (None,))]
    warm_up()
    figures.commit = commit(checkout)
    sound: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy.of(checkout, Path(folder) / "copy")
        for mutant in todo:
            tests = stages(checkout, mutant.module)
            for stage in tests:
                key = " ".join(stage)
                if key not in sound:
                    sound[key] = copy.tests(stage, 4 * SECONDS) == SURVIVED
                if not sound[key]:
                    print(f"without any change the tests fail: {key}", file=sys.stderr)
                    return 1
            outcome = copy.judge(mutant, tests, SECONDS)
            line = mutant.code(checkout).splitlines()[mutant.line - 1].strip()
            figures.record(mutant, room(mutant.module), line, outcome)
            print(f"{outcome:<16} {mutant.module}:{mutant.line} {line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
