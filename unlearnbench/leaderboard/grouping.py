"""Which results stand in one table, and which of them make one line: from their identities alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from unlearnbench.contract.rows import BASE, REFERENCE_ROWS, RETRAIN, VANILLA
from unlearnbench.identity.differences import described, differences
from unlearnbench.identity.digest import CHANCE, SEED, digest
from unlearnbench.identity.ids import UNKNOWN, ZERO, EarlierId, EvaluationId, HeldBaseId, ModelId, TableId, TrainedId
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.sets import transfer_tasks
from unlearnbench.leaderboard.yardstick import Yardstick

BySeed = Mapping[int | None, Entry]


@dataclass(frozen=True)
class Row:
    """The results of one row with the same settings.

    Attributes:
        entries: one for each seed, by seed.
        title: what distinguishes it from the row's other settings included, where those are shown, too.
        budget: trials that its tuning could use; None for what is not tuned.
        fair: whether the budget is the table's.
    """

    name: str
    title: str
    entries: tuple[Entry, ...]
    budget: int | None
    fair: bool = True

    @property
    def by_seed(self) -> BySeed:
        """The entries by seed."""
        return {entry.seed: entry for entry in self.entries}


@dataclass(frozen=True)
class Group:
    """The results of one table.

    Attributes:
        rows: by name, the newest last.
        notes: what is left out or marked, and why; one sentence each.
        distinction: how it differs from the newest table of the same task and model.
    """

    table: TableId
    rows: Mapping[str, Row]
    notes: tuple[str, ...]
    distinction: str = ""

    @property
    def name(self) -> str:
        """The table in a few words."""
        return f"{self.table.model} / {self.table.task}"

    @cached_property
    def yardstick(self) -> Yardstick:
        """What its scores are measured against."""
        bases, oracles = (self.rows[name].by_seed if name in self.rows else {} for name in (BASE, RETRAIN))
        return Yardstick.of(self.table, bases, oracles)

    @property
    def transfers(self) -> tuple[str, ...]:
        """Names of the transfer tasks that some result was evaluated on."""
        entries = [entry for row in self.rows.values() for entry in row.entries]
        return tuple(sorted(set().union(*map(transfer_tasks, entries))))


def group_entries(entries: Sequence[Entry], all_settings: bool = False) -> list[Group]:
    """Groups by task, model, base model, evaluation and target; of one task and model the newest first.

    The vanilla model stands in every group that it fits, base and retrained models in those of every target.

    Args:
        entries: oldest first; of results with the same settings and seed the newest counts.
        all_settings: whether a row that was run with several settings has a line for each, instead of the newest.
    """
    tables: dict[str, list[Entry]] = {}
    for entry in entries:
        if not _stands_anywhere(entry):
            key = digest(entry.identity.table, (SEED,))
            # At the end again, so that the order is that of the newest results.
            tables[key] = [*tables.pop(key, []), entry]
    tables = _with_references(tables)
    alone: dict[str, list[Entry]] = {}
    for entry in (entry for entry in entries if _stands_anywhere(entry)):
        fitting = [found for found in tables.values() if fits(entry.identity.table, found[0].identity.table)]
        for found in fitting or [alone.setdefault(digest(entry.identity.table, (SEED,)), [])]:
            found.append(entry)
    groups = [_group(found, all_settings) for found in [*alone.values(), *tables.values()]]
    by_place: dict[tuple[str, str], list[Group]] = {}
    for one in reversed(groups):
        by_place.setdefault((one.table.task, one.table.model), []).append(one)
    return [made for place in sorted(by_place) for made in _told_apart(by_place[place])]


def _with_references(tables: Mapping[str, list[Entry]]) -> dict[str, list[Entry]]:
    """The tables, those of other targets than zero with what no target has decided, which is recorded as of zero."""
    found, shared = dict(tables), set()
    for key, entries in tables.items():
        place = digest(entries[0].identity.references, (SEED,))
        if place != key:
            references = [entry for entry in tables.get(place, ()) if not _is_aimed(entry)]
            found[key] = [*references, *entries]
            shared.add(place)
    return {key: entries for key, entries in found.items() if key not in shared or any(map(_is_aimed, entries))}


def _is_aimed(entry: Entry) -> bool:
    """Whether a target of forgetting has decided what it is."""
    return isinstance(entry.identity.subject, TrainedId)


def _stands_anywhere(entry: Entry) -> bool:
    """Whether it stands in every table that it fits, having none of its own."""
    return entry.row == VANILLA or entry.identity.table.start == UNKNOWN


def fits(vanilla: TableId, table: TableId) -> bool:
    """Whether the vanilla model of one table is the one that another table's base models were made from.

    A model of which nobody says what it was made from fits every table of the same evaluation.
    """
    start, table = table.start, replace(table, target=ZERO)
    if vanilla.start == UNKNOWN:
        return replace(vanilla, start=start, model=table.model) == table
    if isinstance(vanilla.start, ModelId) and isinstance(start, HeldBaseId):
        return replace(vanilla, start=start) == table and start.base.model == vanilla.start
    return digest(vanilla, (SEED,)) == digest(table, (SEED,))


def budget(entry: Entry) -> int | None:
    """Trials that the tuning could use; None for what is not tuned."""
    return entry.identity.subject.trials


def line_key(entry: Entry) -> str:
    """Equal for the results of one line: all but the seed is the same."""
    return digest((entry.identity.table, entry.row, settings(entry)), (SEED,))


def settings(entry: Entry) -> str:
    """What of its training the seeds of one line share."""
    subject = entry.identity.subject
    if isinstance(subject, EarlierId):
        return f"version 1, {subject.trials} trials"
    return digest(subject, (SEED,))


def _group(entries: Sequence[Entry], all_settings: bool) -> Group:
    entries, notes = _same_transfer(entries)
    newest: dict[tuple[str, str, int | None], Entry] = {}
    for entry in entries:
        key = entry.row, settings(entry), entry.seed
        newest.pop(key, None)
        newest[key] = entry
    by_row: dict[str, dict[str, list[Entry]]] = {}
    for (row, chosen, _), entry in newest.items():
        of_row = by_row.setdefault(row, {})
        of_row[chosen] = [*of_row.pop(chosen, []), entry]
    rows: list[Row] = []
    for name, of_row in by_row.items():
        *others, last = of_row.values()
        rows.append(_row(name, last[0].title, last))
        for number, other in enumerate(others, start=1):
            differs = _difference(other[-1], last[-1])
            if all_settings:
                rows.append(_row(f"{name} {number}", f"{other[0].title} ({differs})", other))
            else:
                notes.append(
                    f"{other[0].title} was also run with other settings ({differs}); the newest is shown, "
                    "`--all-settings` shows all."
                )
    rows, unfair = _judged_by_budget(rows)
    rows, brought = _brought_apart(rows)
    return Group(_table(rows), {row.name: row for row in rows}, (*notes, *unfair, *brought))


def _table(rows: Sequence[Row]) -> TableId:
    """The table of a method, else of the first row that says what methods would start from."""
    tables = [row.entries[0].identity.table for row in sorted(rows, key=lambda row: row.name in REFERENCE_ROWS)]
    told = [table for table in tables if not isinstance(table.start, ModelId) and table.start != UNKNOWN]
    return next((table for table in told if table.target != ZERO), told[0] if told else tables[0])


def _row(name: str, title: str, entries: Iterable[Entry]) -> Row:
    by_seed = sorted(entries, key=lambda entry: -1 if entry.seed is None else entry.seed)
    return Row(name, title, tuple(by_seed), budget(by_seed[0]))


def _judged_by_budget(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Marks the rows whose tuning could use another number of trials than most (of two numbers, the larger)."""
    counts = Counter(row.budget for row in rows if row.budget is not None)
    if len(counts) < 2:
        return list(rows), []
    usual = max(counts, key=lambda trials: (counts[trials], trials))
    judged, notes = [], []
    for row in rows:
        if row.budget in (None, usual):
            judged.append(row)
            continue
        trials = f"{row.budget} trial{'' if row.budget == 1 else 's'}"
        judged.append(replace(row, title=f"{row.title} ({trials})", fair=False))
        notes.append(
            f"{row.title} was tuned with {trials}, most methods of this table with {usual}: it takes no part in marks "
            "and ranks."
        )
    return judged, notes


def _brought_apart(rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """Marks the models that were made elsewhere."""
    marked, notes = [], []
    for row in rows:
        if row.entries[0].is_brought:
            row = replace(row, title=f"{row.title} (brought)", fair=False)
            notes.append(
                f"{row.title} was made elsewhere and only evaluated here: nothing is known of its training and "
                "tuning, and it takes no part in marks and ranks."
            )
        marked.append(row)
    return marked, notes


def _same_transfer(entries: Sequence[Entry]) -> tuple[Sequence[Entry], list[str]]:
    """Leaves out scores on a transfer task of which the newest result saw other rows."""
    newest: dict[str, str] = {one.name: _rows(one) for entry in entries for one in entry.identity.further}
    kept, left_out = [], []
    for entry in entries:
        others = [one.name for one in entry.identity.further if _rows(one) != newest[one.name]]
        left_out += [f"{entry.name} was evaluated on other rows of {name} than the newest result." for name in others]
        for name in others:
            metrics = {key: value for key, value in entry.metrics.items() if not key.startswith(f"transfer_{name}_")}
            right = {key: flags for key, flags in entry.right.items() if key != name}
            entry = entry.model_copy(update={"metrics": metrics, "right": right})
        kept.append(entry)
    return kept, left_out


def _rows(evaluation: EvaluationId) -> str:
    return digest(replace(evaluation, metrics=()))


def _told_apart(groups: Sequence[Group]) -> list[Group]:
    """Says what distinguishes the tables of one task and model from the newest of them."""
    first, *others = groups
    told = []
    for one in others:
        distinction = _named(one.table, first.table)
        note = f"Unlike the first table of this task and model: {distinction}."
        told.append(replace(one, notes=(note, *one.notes), distinction=distinction))
    return [first, *told]


def _difference(entry: Entry, other: Entry) -> str:
    one, two = entry.identity.subject, other.identity.subject
    if isinstance(one, TrainedId) and isinstance(two, TrainedId):
        # Both start from the table's base model.
        two = replace(two, start=one.start)
    return _named(one, two)


def _named(one: object, other: object) -> str:
    found = list(differences(one, other, (SEED, CHANCE)))
    return described([(name, f"{first} instead of {second}") for name, first, second in found])
