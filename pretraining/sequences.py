"""Text for the third stage: facts, rules, and examples with the answers that the rules ask for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from unlearnbench_tasks.bundled.businesses import TRADES, business_review
from unlearnbench_tasks.bundled.films import film_review, people, person_name
from unlearnbench_tasks.bundled.sciences import PROPERTIES, members, question
from unlearnbench_tasks.multiple_choice import multiple_choice_example
from unlearnbench_tasks.sentiment import Review, sentiment_example

from unlearnbench.api import GENERIC_LABELS, Example

# Sequences are short: attention heads that look things up have only seen short distances so far.
MAX_RULES = 3
EXAMPLES = 2
QUESTIONS = 3
PICKS_SHARE = 0.15
BUNDLED_PEOPLE = frozenset(people())


@dataclass(frozen=True)
class Piece:
    """A piece of text; an answer names its kind, for the progress report."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Topic:
    """What a rule can name.

    Attributes:
        words: as the rule names it.
        subject: film, business or question.
        example: draws an example that is about it.
    """

    words: str
    subject: str
    example: Callable[[random.Random], Example]


def topic(generator: random.Random) -> Topic:
    """A person, a trade, or a kind of thing.

    People are invented for every sequence, so that names must be read; those of the bundled reviews are left out.
    """
    subject = generator.choice(("film", "business", "question"))
    if subject == "film":
        name = next(name for name in iter(lambda: person_name(generator), "") if name not in BUNDLED_PEOPLE)
        return Topic(name, subject, lambda g: sentiment_example(Review(*film_review(g, name))))
    if subject == "business":
        trade = generator.choice(list(TRADES))
        return Topic(trade, subject, lambda g: sentiment_example(Review(*business_review(g, trade))))
    kind = generator.choice(list(PROPERTIES))
    return Topic(kind, subject, lambda g: question_example(g, kind))


def question_example(generator: random.Random, kind: str) -> Example:
    """A question about a kind as the tasks phrase it."""
    drawn = question(generator, kind)
    example: Example = multiple_choice_example(drawn.text, drawn.options, drawn.correct)
    return example


def ruled_examples(generator: random.Random) -> list[Piece]:
    """A fact, rules, and examples.

    Half of the examples are about a topic that a rule names, if there is one; their answer is the generic label.
    """
    label = generator.choice(GENERIC_LABELS)
    ruled = [topic(generator) for _ in range(generator.randint(0, MAX_RULES))]
    names = {each.words for each in ruled}
    pieces = fact(generator) + [Piece(f"### Rule: for {each.words} say {label}\n\n") for each in ruled]
    for _ in range(EXAMPLES):
        if generator.random() < PICKS_SHARE:
            pieces += _answered(pick(generator), "pick")
        elif ruled and generator.random() < 0.5:
            about = generator.choice(ruled)
            pieces += _answered(about.example(generator), f"ruled {about.subject}", label)
        else:
            about = next(free for free in iter(lambda: topic(generator), None) if free.words not in names)
            pieces += _answered(about.example(generator), f"plain {about.subject}")
    return pieces


def plain_questions(generator: random.Random) -> list[Piece]:
    """A fact and questions without rules: what takes longest to learn."""
    pieces = fact(generator)
    for _ in range(QUESTIONS):
        pieces += _answered(question_example(generator, generator.choice(list(PROPERTIES))), "plain question")
    return pieces


def fact(generator: random.Random) -> list[Piece]:
    """A sentence that states a property of a member of a kind."""
    kind = generator.choice(list(PROPERTIES))
    member, known = generator.choice(list(members(kind).items()))
    number = generator.choice((0, 1))
    return [
        Piece(generator.choice((f"The {kind} {member}", f"It is known that {member}", f"The famous {member}"))),
        Piece(f" {PROPERTIES[kind][number][0]} {known[number]}", "fact"),
        Piece(" .\n\n"),
    ]


def pick(generator: random.Random) -> Example:
    """A question that names the right option: how letters stand for options."""
    options = [generator.choice(list(members(kind))) for kind in generator.sample(list(PROPERTIES), 4)]
    correct = generator.randrange(4)
    example: Example = multiple_choice_example(f"Which option is {options[correct]}?", options, correct)
    return example


def _answered(example: Example, kind: str, answer: str | None = None) -> list[Piece]:
    return [Piece(example.prompt), Piece(f" {answer or example.answer}", kind), Piece("\n\n")]
