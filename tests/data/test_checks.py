"""Splits that are rejected, and the error messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.conftest import ToyTask, review
from unlearnbench.data.checks import EMPTY, SHARED, check_generic_labels, check_splits, is_blank, settled
from unlearnbench.errors import UserError

SPLITS = ToyTask().splits(None, 0)


def test_good_splits_pass_unchanged() -> None:
    assert check_splits("toy", SPLITS, "error") == SPLITS


def test_empty_split_is_reported() -> None:
    with pytest.raises(UserError, match="test_forget is empty"):
        check_splits("toy", replace(SPLITS, test_forget=()), "error")


def test_leakage_is_an_error_that_quotes_the_text() -> None:
    leaking = replace(
        SPLITS,
        train_retain=(*SPLITS.train_retain, review("A Warm  and funny film with a great cast indeed", "positive")),
    )
    with pytest.raises(UserError, match=r"1 training examples are also in a test split.*A Warm.*--on-leakage"):
        check_splits("toy", leaking, "error")


def test_leaked_examples_are_dropped_from_training_on_request() -> None:
    leaking = replace(SPLITS, train_retain=(*SPLITS.train_retain, SPLITS.test_retain[0]))
    kept = check_splits("toy", leaking, "drop-from-train")
    assert kept.train_retain == SPLITS.train_retain
    assert kept.test_retain == SPLITS.test_retain
    assert kept.provenance[SHARED] == "1 (left out of training)"


def test_published_splits_keep_the_texts_that_training_and_test_share() -> None:
    leaking = replace(SPLITS, train_retain=(*SPLITS.train_retain, SPLITS.test_retain[0], SPLITS.test_forget[0]))
    kept = check_splits("toy", leaking, "error", published=True)
    assert kept.train_retain == leaking.train_retain
    assert kept.provenance[SHARED] == "2 (left in, as published)"
    dropped = check_splits("toy", leaking, "drop-from-train", published=True)
    assert dropped.train_retain == SPLITS.train_retain
    assert check_splits("toy", SPLITS, "error", published=True).provenance[SHARED] == "none"


def test_settled_splits_have_no_empty_and_no_shared_texts() -> None:
    empty = [replace(SPLITS.test_retain[0], text=text) for text in ("", " \n\t", "\u200b\x00")]
    copy = replace(SPLITS.test_forget[0], text=SPLITS.test_forget[0].text.upper())
    rough = replace(
        SPLITS,
        train_forget=(*SPLITS.train_forget, copy),
        train_retain=(*SPLITS.train_retain, empty[0]),
        test_retain=(*SPLITS.test_retain, *empty[1:]),
    )
    clean = settled(rough)
    assert dict(clean.items()) == dict(SPLITS.items())
    assert clean.provenance == {EMPTY: "3", SHARED: "1 (left out of training)"}
    published = settled(rough, published=True)
    assert published.train_forget == rough.train_forget
    assert published.test_retain == SPLITS.test_retain
    assert published.provenance == {EMPTY: "3"}


@pytest.mark.parametrize("text", ["…", "日本", "🙂", "-", "\x07a", "naïve"])
def test_texts_with_visible_characters_are_not_blank(text: str) -> None:
    assert not is_blank(text)


def test_halves_of_surrogate_pairs_are_refused() -> None:
    broken = replace(SPLITS, test_retain=(*SPLITS.test_retain, replace(SPLITS.test_retain[0], prompt="bad \ud800")))
    with pytest.raises(UserError, match="the prompt of row 5 of the split test_retain has half of a surrogate pair"):
        check_splits("toy", broken, "error")


@pytest.mark.parametrize(("column", "value"), [("prompt", "  "), ("answer", "")])
def test_empty_cells_are_refused(column: str, value: str) -> None:
    broken = replace(SPLITS, test_retain=(replace(SPLITS.test_retain[0], **{column: value}),))
    with pytest.raises(UserError, match=f"row 0 of the split test_retain has an empty {column}"):
        check_splits("toy", broken, "error")


def test_generic_labels_must_not_be_labels_of_the_task() -> None:
    check_generic_labels("toy", ("negative", "positive"), ("neutral",))
    with pytest.raises(UserError, match="'positive' is both a label of the task and a generic label"):
        check_generic_labels("toy", ("negative", "positive"), ("neutral", "Positive"))
