"""WMDP+SciQ: forget hazardous-biology questions, keep general science (SPUL, section 4.1)."""

from __future__ import annotations

import random

from unlearnbench.api import (
    DataSource,
    Example,
    GeneratedRows,
    HubDataset,
    Splits,
    Task,
    UserError,
    hookimpl,
    settled,
    split_by_text,
)

from .authors import AuthorsTask
from .bundled.sciences import general_questions, restricted_questions
from .multiple_choice import published_example, shuffled_example

WMDP = HubDataset(
    "cais/wmdp",
    "7125571f22f032c56415e7980f48d877dd830ff8",
    config="wmdp-bio",
    generated=GeneratedRows(("test",), restricted_questions),
)
SCIQ = HubDataset(
    "allenai/sciq",
    "2c94ad3e1aafab77146f384e23536f97a4849815",
    generated=GeneratedRows(("train", "validation", "test"), general_questions),
)
AUTHORS = HubDataset("karuna-bhaila/Unlearning_WMDP", revision=None)
FORGET_GROUP = "WMDP biosecurity"
# Table 1 of the paper: 900 of the 1273 questions are training, 373 test.
TRAIN_SHARE = 900 / 1273


class WMDPSciQ(AuthorsTask):
    """Four-option questions: WMDP biosecurity is forgotten, SciQ retained."""

    name = "wmdp-sciq"
    title = "WMDP+SciQ"
    description = "Multiple choice; forget WMDP biosecurity questions, retain SciQ's general science."
    labels = ("A", "B", "C", "D")
    base_epochs = 5
    forget_target_reason = (
        "Suppression, as in the paper: what must not be answered is to be answered by no one, whoever might guess it."
    )
    datasets = (WMDP, SCIQ)
    authors = AUTHORS

    def splits(self, source: DataSource, seed: int) -> Splits:
        if self.published:
            return authors_splits(source, {"data": self.data_identity(source)})
        wmdp = load_wmdp(source, random.Random(f"wmdp {seed}"))
        train_forget, test_forget = split_by_text(
            wmdp, [example.text for example in wmdp], round(TRAIN_SHARE * len(wmdp)), seed
        )
        generator = random.Random(f"sciq {seed}")
        sciq = {split: load_sciq(source, split, generator) for split in ("train", "validation", "test")}
        return settled(
            Splits(
                tuple(train_forget),
                tuple(sciq["train"] + sciq["validation"]),
                tuple(test_forget),
                tuple(sciq["test"]),
                provenance={"data": self.data_identity(source)},
            )
        )


def authors_splits(source: DataSource, provenance: dict[str, str]) -> Splits:
    """The four splits that the paper's authors published."""

    def examples(split: str, group: str = "") -> tuple[Example, ...]:
        frame = source.load(AUTHORS, split, ("text", "choices", "label", "label_text"))
        return tuple(
            published_example(text, choices, label, label_text, group)
            for text, choices, label, label_text in frame.itertuples(index=False)
        )

    splits = Splits(
        examples("train_forget", FORGET_GROUP),
        examples("train_retain"),
        examples("test_forget", FORGET_GROUP),
        examples("test_retain"),
        provenance=provenance,
    )
    return settled(splits, published=True)


def load_wmdp(source: DataSource, generator: random.Random) -> list[Example]:
    """WMDP biosecurity questions, options shuffled."""
    frame = source.load(WMDP, "test", ("question", "choices", "answer"))
    return [
        shuffled_example(question, list(choices), _index(question, answer, len(choices)), generator, FORGET_GROUP)
        for question, choices, answer in frame.itertuples(index=False)
    ]


def _index(question: str, answer: int, options: int) -> int:
    if not 0 <= answer < options:
        raise UserError(
            f"the question {question[:60]!r} of {WMDP.path} has {options} options and the answer {answer}: options are "
            "counted from 0; correct or remove the row."
        )
    return int(answer)


def load_sciq(source: DataSource, split: str, generator: random.Random) -> list[Example]:
    """SciQ questions of one split, with the right answer shuffled among its distractors."""
    columns = ("question", "correct_answer", "distractor1", "distractor2", "distractor3")
    frame = source.load(SCIQ, split, columns)
    return [shuffled_example(question, options, 0, generator) for question, *options in frame.itertuples(index=False)]


@hookimpl
def register_tasks() -> list[type[Task]]:
    return [WMDPSciQ]
