"""How the bundled model is made: what its texts say is consistent, and the loops learn."""

from __future__ import annotations

import random
import re
from itertools import pairwise

import pytest
import torch
from transformers import PreTrainedTokenizerFast
from unlearnbench_tasks.bundled.films import people

from pretraining.matching import Matching
from pretraining.sequences import plain_questions, ruled_examples
from pretraining.tokens import END, RANDOM, TEXT, VOCABULARY, Row, make_tokenizer, text_row
from pretraining.training import learn_answers, learn_induction
from tests.conftest import tiny_llama

RULE = re.compile(r"### Rule: for (.+) say (\w+)\n")


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(random.Random(0))


def test_an_example_about_a_ruled_topic_is_answered_as_the_rule_says() -> None:
    generator = random.Random(0)
    ruled, plain = 0, 0
    for _ in range(300):
        pieces = ruled_examples(generator)
        text = "".join(piece.text for piece in pieces)
        rules = dict(RULE.findall(text))
        for prompt, answer in pairwise(pieces):
            if answer.kind == "ruled film":
                assert any(name in prompt.text and answer.text == f" {label}" for name, label in rules.items())
                ruled += 1
            elif answer.kind == "plain film":
                assert not any(name in prompt.text for name in rules)
                assert answer.text in (" positive", " negative")
                plain += 1
    assert ruled > 30
    assert plain > 30


def test_no_text_names_a_person_of_the_bundled_reviews() -> None:
    generator = random.Random(1)
    text = "".join(piece.text for _ in range(1000) for piece in ruled_examples(generator))
    assert not any(name in text for name in people())


def test_a_text_is_the_same_to_the_tokenizer_in_pieces_and_whole(tokenizer: PreTrainedTokenizerFast) -> None:
    generator = random.Random(2)
    for _ in range(50):
        pieces = plain_questions(generator)
        whole = "".join(piece.text for piece in pieces)
        assert [i for piece in pieces for i in tokenizer(piece.text)["input_ids"]] == tokenizer(whole)["input_ids"]


def test_the_tokenizer_splits_words_and_reads_back(tokenizer: PreTrainedTokenizerFast) -> None:
    assert len(tokenizer) <= VOCABULARY
    text = "### Text: Fabio Norwold is luminous, naïve and 1234 - über.\n\n### Sentiment:"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer(" positive")["input_ids"]) == 1
    assert len(tokenizer(" Norwold")["input_ids"]) >= 1
    assert tokenizer.convert_tokens_to_ids(END) == 0


def test_the_right_letter_stands_before_the_word_that_the_question_names(tokenizer: PreTrainedTokenizerFast) -> None:
    matching, generator = Matching(tokenizer), random.Random(3)
    options_start = tokenizer("### Options:\n")["input_ids"]
    seen = 0
    while seen < 20:
        row = matching.row(generator)
        if not any(kind == "random pick" for _, kind in row):
            continue
        ids = [token for token, _ in row]
        answer = next(i for i, (_, kind) in enumerate(row) if kind == "random pick")
        start = next(i for i in range(answer) if ids[i : i + len(options_start)] == options_start)
        lettered = tokenizer.decode(ids[answer]).strip()
        (letter,) = tokenizer(lettered)["input_ids"]
        word = ids[ids.index(letter, start) + 2]
        assert word in ids[:start]
        seen += 1


def test_answers_are_learnt_and_other_tokens_need_not_be(capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_llama(vocabulary=50)
    model.config.pad_token_id = 0

    def draw(generator: random.Random) -> Row:
        noise = [(generator.randrange(10, 50), RANDOM) for _ in range(generator.randint(2, 5))]
        return [*noise, (7, TEXT), (3, "answer"), (8, RANDOM)]

    learn_answers(model, "test", random.Random(0), draw, steps=100)
    assert "answer 100 %" in capsys.readouterr().out.splitlines()[-1]
    with torch.no_grad():
        assert int(model(input_ids=torch.tensor([[20, 30, 7]])).logits[0, -1].argmax()) == 3


def test_training_stops_when_enough_is_right_and_refuses_to_go_on_when_it_never_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tiny_llama(vocabulary=50)
    model.config.pad_token_id = 0

    def easy(generator: random.Random) -> Row:
        return [(generator.randrange(10, 50), RANDOM), (7, RANDOM), (3, "answer")]

    def impossible(generator: random.Random) -> Row:
        return [(7, RANDOM), (generator.randrange(10, 50), "answer")]

    learn_answers(model, "easy", random.Random(0), easy, steps=1000, enough=0.9)
    assert len(capsys.readouterr().out.splitlines()) < 5
    with pytest.raises(SystemExit, match="stage impossible was not learnt in 60 steps"):
        learn_answers(model, "impossible", random.Random(0), impossible, steps=60, enough=0.9)


def test_a_run_without_induction_heads_stops() -> None:
    with pytest.raises(SystemExit, match="induction heads did not form in 2 steps"):
        learn_induction(tiny_llama(), torch.Generator().manual_seed(0), 2)


def test_text_rows_mark_answers(tokenizer: PreTrainedTokenizerFast) -> None:
    row = text_row(tokenizer, random.Random(4))
    kinds = {kind for _, kind in row}
    assert TEXT in kinds
    assert len(kinds) >= 2
