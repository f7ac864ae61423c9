"""WMDP+SciQ: forget hazardous-biology questions, keep general science (SPUL, section 4.1)."""

from __future__ import annotations

import random

from unlearnbench.api import DataSource, Example, GeneratedRows, HubDataset, Splits, Task, hookimpl, split_by_text

from .bundled.sciences import general_questions, restricted_questions
from .multiple_choice import shuffled_example

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
# Table 1 of the paper: 900 of the 1273 questions are training, 373 test.
TRAIN_SHARE = 900 / 1273


class WMDPSciQ(Task):
    """Four-option questions: WMDP biosecurity is forgotten, SciQ retained."""

    name = "wmdp-sciq"
    title = "WMDP+SciQ"
    description = "Multiple choice; forget WMDP biosecurity questions, retain SciQ's general science."
    labels = ("A", "B", "C", "D")
    base_epochs = 5
    datasets = (WMDP, SCIQ)

    def splits(self, source: DataSource, seed: int) -> Splits:
        wmdp = load_wmdp(source, random.Random(f"wmdp {seed}"))
        train_forget, test_forget = split_by_text(
            wmdp, [example.text for example in wmdp], round(TRAIN_SHARE * len(wmdp)), seed
        )
        generator = random.Random(f"sciq {seed}")
        sciq = {split: load_sciq(source, split, generator) for split in ("train", "validation", "test")}
        return Splits(
            tuple(train_forget),
            tuple(sciq["train"] + sciq["validation"]),
            tuple(test_forget),
            tuple(sciq["test"]),
            provenance={"data": self.data_identity(source)},
        )


def load_wmdp(source: DataSource, generator: random.Random) -> list[Example]:
    """WMDP biosecurity questions, options shuffled."""
    frame = source.load(WMDP, "test", ("question", "choices", "answer"))
    return [
        shuffled_example(question, list(choices), int(answer), generator, group="WMDP biosecurity")
        for question, choices, answer in frame.itertuples(index=False)
    ]


def load_sciq(source: DataSource, split: str, generator: random.Random) -> list[Example]:
    """SciQ questions of one split, the right answer shuffled among its distractors."""
    columns = ("question", "correct_answer", "distractor1", "distractor2", "distractor3")
    frame = source.load(SCIQ, split, columns)
    return [shuffled_example(question, options, 0, generator) for question, *options in frame.itertuples(index=False)]


@hookimpl
def register_tasks() -> list[type[Task]]:
    return [WMDPSciQ]
