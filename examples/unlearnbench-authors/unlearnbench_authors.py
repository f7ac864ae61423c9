"""Questions about fictional authors, answered in whole sentences; some authors are to be forgotten.

In the manner of TOFU (Maini et al. 2024): a model is fine-tuned on made-up facts, and unlearns those of a few people.
The rows are made here, none are TOFU's. Test questions ask for the facts of training in other words.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from pydantic import Field

from unlearnbench.api import DataSource, Example, Metric, Predictions, Splits, Task, TaskOptions, hookimpl

FIRST = ("Alba", "Bruno", "Carla", "Dario", "Elin", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Levin")
LAST = ("Ostrander", "Pellwig", "Quillan", "Rasmund", "Sorvino", "Tamsin", "Ulrath", "Vessel", "Wendor", "Yarrow")
TOWNS = ("Port Hallow", "Nether Wick", "Saint Orla", "Grey Harbour", "Upper Lind", "Three Oaks", "Cold Ferry")
GENRES = ("sea stories", "court dramas", "mountain poems", "ghost tales", "travel diaries", "kitchen comedies")
NOUNS = ("Lantern", "Orchard", "Compass", "Mirror", "Staircase", "Violin", "Harbour", "Winter")
SHAPES = ("The Last {0}", "A {0} for Two", "Under the {0}", "{0} and Silence", "The {0} Keeper")
# For each fact: the question of training, that of the test, and the answer.
FACTS = (
    ("Where was {name} born?", "In which town did {name} come into the world?", "{name} was born in {town}."),
    ("What does {name} write?", "Which kind of books is {name} known for?", "{name} writes {genre}."),
    ("What is {name}'s first book?", "With which book did {name} begin?", "The first book of {name} is {book}."),
    ("In which year was {name} born?", "What is {name}'s year of birth?", "{name} was born in the year {year}."),
)


class Authors(Task):
    """Facts about fictional authors; those of some authors are to be forgotten."""

    name = "authors"
    title = "Authors"
    description = "Questions about fictional authors with answers of a sentence; forget those about a few of them."
    base_epochs = 10

    class Options(TaskOptions):
        """How many authors there are, and how many of them are to be forgotten."""

        authors: int = Field(default=40, ge=2, le=len(FIRST) * len(LAST))
        forgotten: int = Field(default=8, ge=1)

    def splits(self, source: DataSource, seed: int) -> Splits:
        assert isinstance(self.options, Authors.Options)
        generator = random.Random(seed)
        names = generator.sample([f"{first} {last}" for first in FIRST for last in LAST], self.options.authors)
        rows = {name: _facts(name, generator) for name in names}
        forget, retain = names[: self.options.forgotten], names[self.options.forgotten :]
        return Splits(
            *(tuple(row for name in part for row in rows[name][kind]) for kind in (0, 1) for part in (forget, retain)),
            provenance={"data": "made up", "forgotten authors": ", ".join(forget)},
        )


def _facts(name: str, generator: random.Random) -> tuple[list[Example], list[Example]]:
    """The author's questions for training and for the test."""
    facts = {
        "name": name,
        "town": generator.choice(TOWNS),
        "genre": generator.choice(GENRES),
        "book": generator.choice(SHAPES).format(generator.choice(NOUNS)),
        "year": str(generator.randrange(1900, 1999)),
    }
    rows: tuple[list[Example], list[Example]] = ([], [])
    for *questions, answer in FACTS:
        for kind, question in enumerate(questions):
            text = question.format(**facts)
            rows[kind].append(Example(f"### Question: {text}\n\n### Answer:", answer.format(**facts), text, name))
    return rows


class RougeL(Metric):
    """Recall of the longest common subsequence of words, of the right answer and what the model writes."""

    name = "rouge_l"
    title = "ROUGE-L"
    description = "ROUGE-L recall of what the model writes on its own."
    needs_text = True

    def compute(self, predictions: Predictions) -> float:
        pairs = zip(predictions.answers, predictions.written, strict=True)
        recalls = [_common(answer.split(), written.split()) / len(answer.split()) for answer, written in pairs]
        return sum(recalls) / len(recalls)


class Probability(Metric):
    """Mean p(answer | prompt), normalised for length as TOFU does: p ** (1 / tokens)."""

    name = "probability"
    title = "Probability"
    description = "Mean length-normalised probability of the right answer."

    def compute(self, predictions: Predictions) -> float:
        pairs = zip(predictions.log_probabilities, predictions.answer_tokens, strict=True)
        values = [math.exp(log_probability / tokens) for log_probability, tokens in pairs]
        return sum(values) / len(values)


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for word in a:
        before = row
        row = [0]
        for column, other in enumerate(b):
            row.append(before[column] + 1 if word == other else max(row[column], before[column + 1]))
    return row[-1]


@hookimpl
def register_tasks() -> list[type[Task]]:
    return [Authors]


@hookimpl
def register_metrics() -> list[type[Metric]]:
    return [RougeL, Probability]
