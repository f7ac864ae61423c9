"""``unlearnbench data``: look at the splits."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from unlearnbench.cli import completion
from unlearnbench.cli.options import MaxTest, MaxTrain, merged, names
from unlearnbench.config import build_config
from unlearnbench.console.safe_text import printable
from unlearnbench.contract.task import TransferTask
from unlearnbench.grid.choosing import check_names, choose_tasks, make_task
from unlearnbench.plugins import registry

if TYPE_CHECKING:
    from unlearnbench.contract.task import Example

app = typer.Typer(help="Look at the data of a task.", no_args_is_help=True, rich_markup_mode=None)
GROUPS_SHOWN = 15
CHARACTERS_SHOWN = 2000


@app.callback()
def _data() -> None:
    """Look at the data of a task."""


@app.command()
def show(
    task: Annotated[
        str, typer.Argument(help="A task's name, or path:PATH for own data.", autocompletion=completion.task)
    ],
    preset: Annotated[
        str | None, typer.Option(help="Settings to start from.", autocompletion=completion.preset)
    ] = None,
    data_root: Annotated[
        str | None, typer.Option(envvar="UNLEARNBENCH_DATA_ROOT", help="hub, bundled, or a folder in hub layout.")
    ] = None,
    max_train: MaxTrain = None,
    max_test: MaxTest = None,
    on_leakage: Annotated[str | None, typer.Option(help="error, or drop-from-train.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="TASK.OPTION=VALUE.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Examples of each split to show.")] = 2,
) -> None:
    """Print sizes, label balance, forget groups, provenance and samples of a task's splits."""
    flags: dict[str, Any] = {
        "preset": preset,
        "tasks": names(task),
        "data_root": data_root,
        "on_leakage": on_leakage,
        "max_train": max_train,
        "max_test": max_test,
    }
    config = build_config({}, merged(flags, set_, {}))
    whole = config.model_copy(update={"max_train": None, "max_test": None})
    console = Console()
    known = registry()
    transfer_names = {name for name, one in known.tasks.items() if issubclass(one.item, TransferTask)}
    # A transfer task has rows of its own, so that it can be looked at alone.
    check_names(config.model_copy(update={"tasks": ()}) if task in transfer_names else config, known)
    from unlearnbench.console.quiet import quiet_libraries
    from unlearnbench.data.store import load_task, load_transfer

    quiet_libraries()
    if task in transfer_names:
        transfer = make_task(known.tasks[task].item, config)
        assert isinstance(transfer, TransferTask)
        data, all_data = (load_transfer(transfer, some) for some in (config, whole))
        _show(
            console,
            f"{task}: test set, for models unlearned on {transfer.unlearned_on}",
            {"test": SplitPreview(len(all_data.examples), data.examples)},
            {"preset": config.preset, "fingerprint": data.fingerprint},
            samples,
        )
        return
    ((made, origin),) = choose_tasks(config, known)[0]
    loaded, all_loaded = (load_task(made, origin, some) for some in (config, whole))
    facts = {"preset": config.preset, **loaded.splits.provenance, "fingerprint": loaded.fingerprint}
    shown: dict[str, SplitPreview] = {
        name: SplitPreview(len(examples), seen)
        for (name, examples), (_, seen) in zip(all_loaded.splits.items(), loaded.splits.items(), strict=True)
    }
    _show(console, f"{made.name}: {made.description}", shown, facts, samples)


@dataclass(frozen=True)
class SplitPreview:
    """A split as the task makes it and as a run sees it.

    Attributes:
        whole: number of examples before subsampling.
    """

    whole: int
    examples: tuple[Example, ...]


def _show(console: Console, title: str, splits: dict[str, SplitPreview], facts: dict[str, str], samples: int) -> None:
    def say(text: str = "") -> None:
        console.print(printable(text, lines=True), markup=False, highlight=False, soft_wrap=True)

    say(title)
    table = Table()
    for column in ("split", "examples", "seen by a run", "answers seen", "groups seen"):
        table.add_column(column)
    for name, split in splits.items():
        seen = split.examples
        shares = Text(_shares(example.answer for example in seen))
        table.add_row(name, str(split.whole), str(len(seen)), shares, Text(_groups(seen)))
    console.print(table)
    for fact, value in facts.items():
        say(f"{fact}: {value}")
    for name, split in splits.items():
        for example in random.Random(0).sample(split.examples, min(samples, len(split.examples))):
            say(f"\n--- {name} ---\n{_shortened(example.prompt)} [{_shortened(example.answer)}]")


def _shortened(text: str) -> str:
    """A text of which one screen is left, the rest taken from its middle."""
    left_out = len(text) - CHARACTERS_SHOWN
    half = CHARACTERS_SHOWN // 2
    return text if left_out <= 0 else f"{text[:half]} [... {left_out} characters ...] {text[-half:]}"


def _shares(answers: Any) -> str:
    counts = Counter(answers)
    total = sum(counts.values())
    if len(counts) > GROUPS_SHOWN:
        return f"{len(counts)} different"
    return ", ".join(f"{answer} {100 * count / total:.1f} %" for answer, count in sorted(counts.items()))


def _groups(examples: tuple[Example, ...]) -> str:
    counts = Counter(example.group for example in examples if example.group)
    shown = ", ".join(f"{group} {count}" for group, count in counts.most_common(GROUPS_SHOWN))
    return shown + (f" and {len(counts) - GROUPS_SHOWN} more" if len(counts) > GROUPS_SHOWN else "")
