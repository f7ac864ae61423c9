"""Checks of every task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import get_args

from unlearnbench.contract.source import DataRoot, DataSource
from unlearnbench.contract.task import GENERIC_LABELS, Example, Splits, Task, TaskOptions, TransferTask
from unlearnbench.data.checks import check_splits
from unlearnbench.data.store import TaskData
from unlearnbench.errors import UserError
from unlearnbench.identity.ids import ForgetTarget
from unlearnbench.models.builtin import register_models
from unlearnbench.testing.check import Check, require, require_texts

CONTEXT = 1024


def task_checks(
    task: type[Task] | type[TransferTask], data_root: DataRoot = "bundled", options: TaskOptions | None = None
) -> list[Check]:
    """All checks of a task class.

    Args:
        data_root: source of its rows: bundled, hub, or a folder in hub layout.
        options: the task's options, if its rows need others than the defaults.
    """
    instance = task(options)
    name = str(getattr(task, "name", task.__name__))
    source = DataSource(data_root)
    checks: dict[str, Callable[[], None]] = {"declares what it is": partial(_declares, instance)}
    if isinstance(instance, Task):
        rows = cache(partial(instance.splits, source, 0))
        checks |= {
            "has four splits that share no text": lambda: _splits(instance, rows()),
            "answers are labels and can be tokenised": lambda: _task_answers(instance, rows()),
            "is deterministic": lambda: _deterministic(instance, rows(), instance.splits(source, 0)),
        }
    else:
        checks |= {
            "has a test set": partial(_test_set, instance, source),
            "answers are labels and can be tokenised": partial(_transfer_answers, instance, source),
        }
    return [Check(name, title, check) for title, check in checks.items()]


def _declares(task: Task | TransferTask) -> None:
    require_texts(task, type(task).__name__)
    name = task.name
    require(name == name.strip().lower() and " " not in name and "/" not in name, f"name {name!r} must be lower case")
    generic = set(GENERIC_LABELS) & set(task.labels)
    if isinstance(task, Task):
        targets = get_args(ForgetTarget)
        known = ", ".join(targets)
        require(
            task.forget_target in targets, f"{name}.forget_target is {task.forget_target!r}, but must be of {known}"
        )
        can_guess = task.labels or task.forget_target != "chance"
        require(can_guess, f"{name}.forget_target is chance, but without labels there is nothing to guess from")
        require(task.forget_target_reason.strip(), f"{name}.forget_target_reason must say why that is the target")
    require(not generic, f"{name}.labels contains {', '.join(sorted(generic))}, which means 'I do not know'")


def _splits(task: Task, splits: Splits) -> None:
    for name, examples in splits.items():
        require(examples, f"{task.name}: split {name} is empty")
    try:
        check_splits(task.name, splits, "error")
    except UserError as error:
        require(False, str(error))
    for forget, retain in ((splits.train_forget, splits.train_retain), (splits.test_forget, splits.test_retain)):
        both = {example.text for example in forget} & {example.text for example in retain}
        require(
            not both, f"{task.name}: {len(both)} texts are in both forget and retain, as {next(iter(both), '')!r:.80}"
        )


def _task_answers(task: Task, splits: Splits) -> None:
    for name, examples in splits.items():
        _answers(f"{task.name}, {name}", examples, task.labels)


def _transfer_answers(task: TransferTask, source: DataSource) -> None:
    _answers(task.name, task.test(source, 0), task.labels)


def _answers(place: str, examples: Sequence[Example], labels: Sequence[str]) -> None:
    from unlearnbench.engine.encoding import Encoder
    from unlearnbench.models.loading import load_tokenizer
    from unlearnbench.models.resolve import resolve

    tiny = next(spec for spec in register_models() if spec.name == "tiny")
    encoder = Encoder(load_tokenizer(resolve(tiny)), CONTEXT)
    for index, (example, row) in enumerate(zip(examples, encoder.encode(list(examples)), strict=True)):
        where = f"{place}, example {index}"
        require(not labels or example.answer in labels, f"{where}: answer {example.answer!r} is not in {labels!r}")
        require(example.prompt == example.prompt.rstrip(), f"{where}: the prompt ends in a space")
        require(example.answer == example.answer.strip(), f"{where}: answer {example.answer!r} has spaces around it")
        require(row.answer, f"{where}: answer {example.answer!r} has no tokens")
        decoded = encoder.decode(row.answer)
        require(decoded == example.answer, f"{where}: answer {example.answer!r} is tokenised as {decoded!r}")


def _deterministic(task: Task, first: Splits, second: Splits) -> None:
    same = TaskData(task, first).fingerprint == TaskData(task, second).fingerprint
    require(same, f"{task.name}.splits returns other rows when it is called again with the same seed")


def _test_set(task: TransferTask, source: DataSource) -> None:
    examples = task.test(source, 0)
    require(examples, f"{task.name}: the test set is empty")
    require(task.test(source, 0) == examples, f"{task.name}.test returns other rows when it is called again")
