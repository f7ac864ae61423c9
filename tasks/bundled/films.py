"""Reviews of fictional films that name fictional people, with the columns of GLUE SST-2."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from .opinions import opinions

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1500
PEOPLE = 24
FIRST_NAMES = (
    "Adela Bruno Carla Dario Edda Fabio Greta Hugo Ilse Jonas Karin Lucio Mirja Nils Odile Pavel Quirin Rosa Sven "
    "Tilda Ursin Vera Wanda Xenia Yoram Zita Alrik Birte Cosmo Delia Egon Frida Gilda Henrik Irma Jette Knut Linus "
    "Marta Nadja"
).split()
LAST_NAMES = (
    "Abendrot Birkvold Castellan Dunmarsh Elverun Farrowby Galdini Hestvik Iversund Jorrand Kesselton Lindqvar "
    "Marchetto Norwold Ostrander Pellwick Quarrie Rosendal Santorel Tramwell Ullgren Vandermoor Westerby Yarrowin "
    "Zimmerle Ashgrove Bellacort Corviano Drakenfeld Estrella Falkmere Grimwald Harrowgate Inverloch Jasperon "
    "Kilbride Lorenzetti Montaigue Nightwell Oakhurst Pembrose Ravensby Silvertorn Thornquist Underhill Valmonte "
    "Wintermere Yellowby"
).split()
ROLES = ("thief", "captain", "widow", "detective", "pianist", "farmer", "pilot", "queen", "doctor", "ghost")
PARTS = ("plot", "score", "dialogue", "camera work", "pacing", "editing", "ending", "humour", "scenery", "cast")
TITLES = (
    "The Glass Harbour", "Winter Orchard", "A Room of Salt", "The Last Lantern", "Nine Bridges", "Paper Moths",
    "The Quiet Engine", "Copper Sky", "House of Rain", "The Long Ferry", "Under the Mill", "Seven Keys",
    "The Blue Ladder", "Stone Garden", "Midnight Tram", "The Silver Well",
)  # fmt: skip
ABOUT_PERSON = (
    "the performance of {person} is {opinion}",
    "the script by {person} is {opinion}",
    "{person} is {opinion} as the {role}",
    "{person} 's direction is {opinion}",
    "we get {opinion} work from {person}",
    "as the {role} , {person} is {opinion}",
)
ABOUT_FILM = (
    "the {part} is {opinion}",
    "its {part} seems {opinion}",
    "in {title} the {part} feels {opinion}",
    "{title} is {opinion}",
    "how {opinion} the {part} is",
)


def person_name(generator: random.Random) -> str:
    """A first and a last name."""
    return f"{generator.choice(FIRST_NAMES)} {generator.choice(LAST_NAMES)}"


def people() -> list[str]:
    """The people that the data set's reviews name; no two share a first or last name."""
    generator = random.Random("people")
    names = zip(generator.sample(FIRST_NAMES, PEOPLE), generator.sample(LAST_NAMES, PEOPLE), strict=True)
    return [f"{first} {last}" for first, last in names]


def film_review(generator: random.Random, person: str | None) -> tuple[str, int]:
    """A review of two or three clauses and its label; the first or the last clause names the person."""
    words, label = opinions(generator, generator.choice((2, 3)))
    named = generator.choice((0, len(words) - 1)) if person else -1
    clauses = [
        generator.choice(ABOUT_PERSON if position == named else ABOUT_FILM).format(
            person=person,
            opinion=word,
            role=generator.choice(ROLES),
            part=generator.choice(PARTS),
            title=generator.choice(TITLES),
        )
        for position, word in enumerate(words)
    ]
    return generator.choice((" , and ", " ; ", " , while ", " . ")).join(clauses) + " .", label


def film_reviews(split: str) -> pd.DataFrame:
    """The split "train" or "validation" with the columns sentence and label."""
    import pandas as pd

    generator = random.Random(f"films {split}")
    named = people()
    rows = [
        film_review(generator, generator.choice(named) if generator.random() < 0.9 else None)
        for _ in range(ROWS if split == "train" else ROWS // 50)
    ]
    return pd.DataFrame(rows, columns=["sentence", "label"])
