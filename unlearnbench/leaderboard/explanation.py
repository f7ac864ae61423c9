"""Why a method stands where it stands in a table: its halves, trials, curve, answers, and the examples that flipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from unlearnbench.contract.rows import BASE
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.markdown import escape, table
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.render import heading
from unlearnbench.leaderboard.scores import TRADE_OFF

if TYPE_CHECKING:
    import pandas as pd

SHOWN_CHARACTERS = 160
FORGETS = {
    "zero": "100 - test forget accuracy",
    "oracle": "100 for the retrained model's test forget accuracy, 0 for the base model's",
    "chance": "100 for a test forget accuracy by chance, 0 for the base model's",
}
ANSWERS_SHOWN = 5


def explain_line(block: Block, line: Line, entry: Entry, samples: pd.DataFrame, examples: int) -> str:
    """What a table's line rests on, as Markdown.

    Args:
        entry: the line's result of the seed that is looked at.
        samples: single answers of `entry` and of the base model of its seed, as `load_samples` gives them; no rows if
            they are not known.
        examples: how many examples to show of each kind, at most.
    """
    parts = [
        f"# {line.title} on {heading(block)}",
        _place(block, line),
        _trials(entry),
        _curve(entry),
        _answers(entry, samples),
        _flips(entry, samples, examples),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _place(block: Block, line: Line) -> str:
    """Its place by trade-off, and which half of the trade-off costs it most against the best method."""
    methods = [one for one in block.lines if one.competes and TRADE_OFF in one.mean]
    if TRADE_OFF not in line.mean or line not in methods:
        return "It has no place in the table: see the table's notes in leaderboard.md."
    ordered = sorted(methods, key=lambda one: -one.mean[TRADE_OFF])
    place, best = ordered.index(line) + 1, ordered[0]
    said = f"Place {place} of {len(ordered)} by trade-off ({percent(line.mean[TRADE_OFF])})"
    seeds = f", means over {len(line.entries)} seeds" if len(line.entries) > 1 else ""
    if best is line:
        return f"{said}{seeds}: no method has a better one."
    halves, theirs = _halves(block, line), _halves(block, best)
    costly = max(halves, key=lambda half: theirs[half] - halves[half])
    rows = [(half, percent(halves[half]), percent(theirs[half])) for half in halves]
    apart = "; it can't be told apart from the best one" if TRADE_OFF in line.ties else ""
    return "\n".join(
        [
            f"{said}{seeds}; {best.title} is first with {percent(best.mean[TRADE_OFF])}{apart}. What costs it most: it "
            f"{costly} less.",
            "",
            *table("lrr", ("", line.title, best.title), rows),
            "",
            f"Forgets: {FORGETS[block.target]}. Keeps: test retain accuracy relative to the base model's.",
        ]
    )


def _halves(block: Block, line: Line) -> dict[str, float]:
    """What the trade-off is made of, means over seeds."""
    base = next((one for one in block.lines if one.row == BASE), None)
    kept = line.mean["test_retain_accuracy"]
    whole = base.mean["test_retain_accuracy"] if base is not None else 1.0
    scales = [(entry, block.yardstick.scale(entry.seed)) for entry in line.entries]
    forgotten = fmean(scale.forgotten(entry.metrics["test_forget_accuracy"]) for entry, scale in scales if scale)
    return {"forgets": forgotten, "keeps": min(1.0, kept / whole) if whole else 0.0}


def _trials(entry: Entry) -> str:
    """Every trial with what it reached on training rows, and the ends of ranges where the best one lies."""
    if not entry.trials:
        return "## Trials\n\nNone are recorded with this result."
    taken = entry.best_trial
    rows = []
    for trial in entry.trials:
        values = ", ".join(f"{name} = {value}" for name, value in trial.values.items()) or "none tuned"
        numbers = (trial.objective, trial.forget_accuracy, trial.retain_accuracy)
        shown = ["" if number is None else percent(number) for number in numbers]
        rows.append((str(trial.number), values, *shown, "taken" if trial is taken else trial.pruned or ""))
    trials = table("rlrrrl", ("trial", "values", "objective", "forget", "retain", ""), rows)
    said = [
        f"The best {name}, {entry.hyperparameters.get(name, '?')}, is at the {side} end of its range: better ones may "
        f"lie beyond (--set {entry.row}.{name}=[LOW,HIGH])."
        for name, side in entry.edges.items()
    ]
    where = (
        "seed " + str(entry.seed) if entry.tuned_on in (None, entry.seed) else f"with the values of {entry.tuned_on}"
    )
    return "\n".join([f"## Trials ({where}; accuracies on training rows)", "", *trials, *([""] if said else []), *said])


def _curve(entry: Entry) -> str:
    """The way of the trial that was taken."""
    taken = entry.best_trial
    if taken is None or not taken.curve:
        return ""
    rows = [(str(point.step), percent(point.forget_accuracy), percent(point.retain_accuracy)) for point in taken.curve]
    curve = table("rrr", ("step", "forget", "retain"), rows)
    return "\n".join([f"## Forgetting curve of trial {taken.number}", "", *curve])


def _answers(entry: Entry, samples: pd.DataFrame) -> str:
    """What test examples are answered with."""
    parts = ["## Answers"]
    for split in ("test_forget", "test_retain"):
        found = samples[(samples["key"] == entry.key) & (samples["split"] == split)]
        counts = Counter(found["predicted"].dropna())
        if counts:
            total = sum(counts.values())
            shown = ", ".join(
                f"{_short(answer)!r} {100 * count / total:.1f} %" for answer, count in counts.most_common(ANSWERS_SHOWN)
            )
            right = percent(float(found["right"].mean()))
            parts.append(f"{split.replace('_', ' ')}: {right} % right; most frequent: {escape(shown)}.")
    return "\n\n".join(parts) if len(parts) > 1 else ""


def _flips(entry: Entry, samples: pd.DataFrame, examples: int) -> str:
    """Test examples on which the base model and the method differ in a way that costs, or that should have differed."""
    before = samples[(samples["key"] != entry.key)].set_index(["split", "example"])
    after = samples[samples["key"] == entry.key].set_index(["split", "example"])
    both = before.join(after, lsuffix="_before", rsuffix="_after", how="inner")
    if both.empty:
        return "Single answers of this result or of its base model are not stored here."
    both = both.reset_index()
    parts = ["## Examples"]
    for split in dict.fromkeys(both["split"]):
        if split.startswith("train_"):
            continue
        part = both[both["split"] == split]
        forgotten = split == "test_forget"
        wrong = part[part["right_before"] & (part["right_after"] if forgotten else ~part["right_after"])]
        name = split.replace("_", " ")
        said = "still answered rightly" if forgotten else "that the base model answered and the method does not"
        step = max(1, len(wrong) // max(examples, 1))
        shown = _shown(wrong.iloc[::step][:examples])
        parts.append(f"{name}: {len(wrong)} of {len(part)} examples {said}{':' if shown else '.'}")
        parts += shown
    if both["text_after"].isna().all():
        parts.append("A leaderboard holds no texts: name the results folder to see them.")
    return "\n\n".join(parts)


def _shown(rows: pd.DataFrame) -> Sequence[str]:
    found = []
    for row in rows.to_dict("records"):
        if isinstance(row["text_after"], str):
            answers = f"{_short(row['predicted_before'])!r} → {_short(row['predicted_after'])!r}"
            found.append(
                f"- {escape(_short(row['text_after']))} [{escape(_short(row['answer_after']))}]: {escape(answers)}"
            )
    return ["\n".join(found)] if found else []


def _short(text: object) -> str:
    said = " ".join(str(text).split())
    return said if len(said) <= SHOWN_CHARACTERS else f"{said[:SHOWN_CHARACTERS]} …"
