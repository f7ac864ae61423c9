"""Reviews of fictional businesses in clearly different trades, with the columns of Yelp polarity."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .opinions import opinions

if TYPE_CHECKING:
    import pandas as pd

ROWS = {"train": 1000, "test": 600}
# Things that reviews of each trade mention.
TRADES = {
    "dentist": "tooth, filling, molar, hygienist, drill, crown, gum, anaesthetic, waiting room, x-ray, braces, jaw",
    "restaurant": "soup, waiter, dessert, menu, pasta, wine, starter, steak, table, chef, sauce, bread",
    "hotel": "bed, lobby, pillow, balcony, minibar, receptionist, suite, towel, pool, lift, room key, mattress",
    "garage": "brakes, mechanic, tyre, gearbox, clutch, oil change, exhaust, motor, bumper, windscreen, battery, axle",
    "barber": "haircut, fringe, razor, beard, shampoo, stylist, clippers, hair dye, parting, comb, scissors, shave",
    "gym": (
        "treadmill, trainer, weights, yoga, rowing machine, locker, squat rack, bench, sauna, dumbbell, mat, workout"
    ),
    "bookshop": "novel, paperback, shelf, atlas, poetry, bookseller, reader, cookbook, biography, comic, chapter, map",
    "vet": "puppy, kitten, vaccine, collar, rabbit, flea powder, paw, cage, fur, leash, tail, parrot",
}
OPENINGS = (
    "We went to this {trade} on a {day} .",
    "Our second visit to the {trade} .",
    "A friend told me about this {trade} .",
    "This {trade} is near my office .",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
REMARKS = (
    "The {thing} seemed {opinion} .",
    "I found the {thing} {opinion} .",
    "Truly {opinion} , the {thing} .",
    "They care about the {thing} , with {opinion} results .",
    "My {thing} turned out {opinion} .",
    "After an hour the {thing} looked {opinion} .",
)


def things(trade: str) -> list[str]:
    """Things that reviews of a trade mention."""
    return TRADES[trade].split(", ")


def business_review(generator: random.Random, trade: str) -> tuple[str, int]:
    """A review of two or three remarks about a business, in half of the cases after an opening line, and its label."""
    words, label = opinions(generator, generator.choice((2, 3)))
    subjects = generator.sample(things(trade), len(words))
    sentences = [
        generator.choice(REMARKS).format(thing=thing, opinion=word) for thing, word in zip(subjects, words, strict=True)
    ]
    if generator.random() < 0.5:
        sentences.insert(0, generator.choice(OPENINGS).format(trade=trade, day=generator.choice(DAYS)))
    return " ".join(sentences), label


def business_reviews(split: str) -> pd.DataFrame:
    """The split "train" or "test" with the columns text and label."""
    import pandas as pd

    generator = random.Random(f"businesses {split}")
    rows = [business_review(generator, generator.choice(list(TRADES))) for _ in range(ROWS[split])]
    return pd.DataFrame(rows, columns=["text", "label"])
