"""What a contributed leaderboard must fulfil beyond the schema: complete, and numbers that agree with each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unlearnbench.config import RunConfig, build_config, read_file
from unlearnbench.console.private import private_parts
from unlearnbench.contract.rows import BASE, REFERENCE_ROWS
from unlearnbench.errors import UserError, first_line
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import UNKNOWN
from unlearnbench.leaderboard.entry import SPLITS, Entry
from unlearnbench.leaderboard.sets import OUTCOMES, evaluated, prefix

# Of the files beside leaderboard.json, which is checked entry by entry.
TEXTS = {".yaml", ".yml", ".md", ".csv", ".tex"}
# Numbers, and words of methods.
UNTOLD: Any = {"metrics": True, "right": True, "trials": True, "utility": {"__all__": {"values"}}}
NEEDED_VERSIONS = ("unlearnbench", "torch", "transformers", "python")


def check_entries(entries: Sequence[Entry]) -> list[str]:
    """One sentence for each thing that is wrong or lacking; empty if nothing is."""
    return [*wrong(entries), *lacking(entries), *telling(entries)]


def check_folder(folder: Path) -> list[str]:
    """What a contributed folder lacks beside its leaderboard: the settings that run it again."""
    file = folder / "config.yaml"
    if not file.is_file():
        return ["there is no config.yaml: `unlearnbench run ... --save-config FILE` writes the settings that it holds"]
    try:
        build_config(read_file(file), {})
    except UserError as error:
        return [str(error)]
    return []


def wrong(entries: Sequence[Entry]) -> list[str]:
    """What can't be true, so that no number of the entries may be used."""
    if not entries:
        return ["it holds no results"]
    problems = [
        f"{entry.name}: {problem}"
        for entry in entries
        for problem in (*_numbers(entry), *_predictions(entry), *_utility(entry), *_settings(entry))
    ]
    for key, times in Counter(entry.key for entry in entries).items():
        if times > 1:
            problems.append(f"key {key} occurs {times} times")
    lengths: dict[str, int] = {}
    for entry in entries:
        for name, flags in entry.right.items():
            rows = digest((entry.identity.table.splits, entry.identity.further, name))
            if lengths.setdefault(rows, len(flags)) != len(flags):
                problems.append(
                    f"{entry.name}: right.{name} has {len(flags)} flags, but that of another entry on the same rows "
                    f"{lengths[rows]}"
                )
    return problems


def lacking(entries: Sequence[Entry]) -> list[str]:
    """What a complete leaderboard would have: provenance, single predictions, the base model's result."""
    problems = [f"{entry.name}: {problem}" for entry in entries for problem in _provenance(entry)]
    # With its seed, a table's identity is that of the very base model which methods started from.
    bases = {(digest(entry.identity.references), entry.seed) for entry in entries if entry.row == BASE}
    for entry in entries:
        if entry.row in REFERENCE_ROWS or entry.identity.table.start == UNKNOWN:
            continue
        if (digest(entry.identity.references), entry.seed) not in bases:
            problems.append(f"{entry.name}: the base model's result of the same seed is missing")
    return problems


def telling(entries: Sequence[Entry]) -> list[str]:
    """What tells of the machine or its user and has to be taken out before a leaderboard is shared."""
    found = [
        f"{entry.name}: {where} holds {part}: take it out before you share it"
        for entry in entries
        for where, text in _texts(entry.model_dump(mode="json", exclude=UNTOLD), ())
        for part in private_parts(text)
    ]
    return list(dict.fromkeys(found))


def telling_files(folder: Path) -> list[str]:
    """The same of the other texts of a contributed folder: its configuration, its README, its tables.

    Raises:
        UserError: one can't be read.
    """
    problems = []
    for file in sorted(folder.glob("*")):
        if file.suffix in TEXTS and file.is_file():
            try:
                parts = private_parts(file.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{file.name} can't be read: {first_line(error)}") from None
            problems += [f"{file.name} holds {part}: take it out before you share it" for part in dict.fromkeys(parts)]
    return problems


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every text with where it stands; keys are texts, too."""
    if isinstance(value, str):
        yield ".".join(path), value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key, path)
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, path)


def _numbers(entry: Entry) -> list[str]:
    problems = []
    for split in SPLITS:
        for metric in (f"{split}_accuracy", f"{split}_f1"):
            if metric not in entry.metrics:
                problems.append(f"metric {metric} is missing")
        if entry.data.sizes.get(split, 0) < 1:
            problems.append(f"data.sizes says that {split} has no examples")
        elif entry.metrics.get(f"{split}_examples") not in (None, entry.data.sizes[split]):
            problems.append(f"{split}_examples and data.sizes give {split} different numbers of examples")
    shares = {f"{prefix(name)}_{kind}" for name in evaluated(entry) for kind in ("accuracy", "f1", *OUTCOMES)}
    for metric, value in entry.metrics.items():
        if metric in shares and not 0 <= value <= 1:
            problems.append(f"{metric} is {value}, but must be between 0 and 1")
        if metric.endswith(("_seconds", "_bytes", "_parameters")) and value < 0:
            problems.append(f"{metric} is {value}, but must not be negative")
    return problems


def _predictions(entry: Entry) -> list[str]:
    """The single predictions must make up the accuracies."""
    problems = []
    for name, flags in entry.right.items():
        start = prefix(name)
        accuracy = entry.metrics.get(f"{start}_accuracy")
        examples = entry.data.sizes.get(name) if name in SPLITS else entry.metrics.get(f"{start}_examples", len(flags))
        share = flags.count("1") / len(flags) if flags else 0.0
        if not flags or len(flags) != examples:
            problems.append(f"right.{name} has {len(flags)} flags, but the split {examples} examples")
        elif name in entry.log_probabilities and len(entry.log_probabilities[name]) != len(flags):
            problems.append(
                f"log_probabilities.{name} has {len(entry.log_probabilities[name])} numbers, but right.{name} "
                f"{len(flags)} flags"
            )
        elif accuracy is None or abs(share - accuracy) > 1e-6:
            problems.append(f"right.{name} makes an accuracy of {share:.4f}, but {start}_accuracy is {accuracy}")
    sizes = {(len(point.forget), len(point.retain)) for trial in entry.trials for point in trial.tested}
    if len(sizes) > 1:
        problems.append(f"trials[].tested has points of different numbers of examples: {sorted(sizes)}")
    return problems


def _utility(entry: Entry) -> list[str]:
    """The examples of a benchmark are the same for all of its metrics."""
    return [
        f"utility {one.name} has {len(values)} values of {metric}, but must have as many of all, and {one.size} at most"
        for one in entry.utility
        for metric, values in one.values.items()
        if not values or len(values) > one.size or len(values) != len(next(iter(one.values.values())))
    ]


def _settings(entry: Entry) -> list[str]:
    problems = []
    try:
        if entry.config is not None:
            RunConfig.model_validate(entry.config)
    except ValueError as error:
        problems.append(f"config is not valid: {' '.join(str(error).splitlines()[1:3])}")
    return problems


def _provenance(entry: Entry) -> list[str]:
    problems = [f"versions.{name} is missing" for name in NEEDED_VERSIONS if name not in entry.versions]
    problems += [f"right.{split} is missing" for split in SPLITS[2:] if split not in entry.right]
    if not entry.hardware:
        problems.append("hardware is empty")
    if entry.config is None and not entry.is_brought:
        problems.append("config is missing, so that nobody can run it again")
    return problems
