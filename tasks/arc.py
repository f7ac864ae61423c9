"""ARC-Challenge: does a model unlearned on WMDP+SciQ still answer other science questions? (SPUL, table 3)"""

from __future__ import annotations

from unlearnbench.api import DataSource, Example, GeneratedRows, HubDataset, TransferTask, UserError, hookimpl

from .bundled.sciences import transfer_questions
from .multiple_choice import multiple_choice_example

ARC = HubDataset(
    "allenai/ai2_arc",
    "210d026faf9955653af8916fad021475a3f00453",
    config="ARC-Challenge",
    generated=GeneratedRows(("test",), transfer_questions),
)


class ARCChallenge(TransferTask):
    """ARC-Challenge test questions with three to five options, which get letters even if the data numbers them."""

    name = "arc"
    title = "ARC-Challenge"
    description = "Transfer: grade-school science questions, for models unlearned on wmdp-sciq."
    labels = ("A", "B", "C", "D", "E")
    unlearned_on = "wmdp-sciq"

    def test(self, source: DataSource, seed: int) -> tuple[Example, ...]:
        frame = source.load(ARC, "test", ("question", "choices", "answerKey"))
        return tuple(
            arc_example(question, list(choices["text"]), list(choices["label"]), str(key))
            for question, choices, key in frame.itertuples(index=False)
        )


def arc_example(question: str, options: list[str], option_labels: list[str], key: str) -> Example:
    """One question; `option_labels` may be letters or numbers, `key` is one of them."""
    if key not in option_labels:
        raise UserError(
            f"ARC question {question[:60]!r} has the answer key {key!r}, which is not one of its options "
            f"({', '.join(option_labels)}): correct or remove the row."
        )
    return multiple_choice_example(question, options, option_labels.index(key))


@hookimpl
def register_tasks() -> list[type[TransferTask]]:
    return [ARCChallenge]
