"""The user's own data as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import invoke
from unlearnbench.contract.source import DataSource
from unlearnbench.contract.task import Example, Splits
from unlearnbench.data.checks import text_key
from unlearnbench.data.table_task import TableOptions, TableTask
from unlearnbench.errors import UserError

SOURCE = DataSource("bundled")


def table(folder: Path, rows: int = 40, **columns: list[str]) -> Path:
    """A CSV of questions, every fourth of which is to be forgotten."""
    made = {
        "prompt": [f"Question {number}, with a comma" for number in range(rows)],
        "answer": [("tea", "coffee")[number % 2] for number in range(rows)],
        "forget": [("no", "yes")[number % 4 == 0] for number in range(rows)],
    }
    file = folder / "drinks.csv"
    pd.DataFrame({**made, **columns}).to_csv(file, index=False)
    return file


def splits(file: Path, seed: int = 0, **options: Any) -> Splits:
    return TableTask(file, TableOptions(**options)).splits(SOURCE, seed)


def texts(examples: tuple[Example, ...]) -> set[str]:
    return {example.text for example in examples}


def test_forget_column_divides_rows_and_test_rows_are_drawn(tmp_path: Path) -> None:
    made = splits(table(tmp_path))
    sizes = {name: len(examples) for name, examples in made.items()}
    assert sizes == {"train_forget": 7, "train_retain": 21, "test_forget": 3, "test_retain": 9}
    forgotten = {f"Question {number}, with a comma" for number in range(0, 40, 4)}
    assert texts(made.train_forget) | texts(made.test_forget) == forgotten
    assert {example.answer for example in made.train_forget} == {"tea"}
    assert splits(tmp_path / "drinks.csv") == made
    assert texts(splits(tmp_path / "drinks.csv", seed=1).test_forget) != texts(made.test_forget)


def test_values_of_any_column_can_mark_rows_to_forget(tmp_path: Path) -> None:
    customers = [f"customer {number % 5}" for number in range(40)]
    made = splits(table(tmp_path, customer=customers), forget="customer", forget_if="customer 3, customer 4")
    assert {example.group for example in (*made.train_forget, *made.test_forget)} == {"customer 3", "customer 4"}
    assert len(made.train_forget) + len(made.test_forget) == 16
    assert {example.group for example in made.train_retain} == {""}


def test_a_column_may_name_the_split(tmp_path: Path) -> None:
    sides = ["test" if number < 10 else "train" for number in range(40)]
    made = splits(table(tmp_path, split=sides))
    assert texts(made.test_retain) == {f"Question {n}, with a comma" for n in range(10) if n % 4}
    assert made.provenance["split"] == "column split"


def test_template_fills_in_columns(tmp_path: Path) -> None:
    made = splits(
        table(tmp_path, text=["{odd} text"] * 40, row=[str(n) for n in range(40)]), template="{row}: {text} ="
    )
    assert "0: {odd} text =" in texts(made.train_forget) | texts(made.test_forget)


def test_same_texts_get_the_same_side_even_if_only_one_is_forgotten(tmp_path: Path) -> None:
    made = splits(table(tmp_path, prompt=[f"Question {number % 13}" for number in range(40)]))
    train = {text_key(example) for example in (*made.train_forget, *made.train_retain)}
    test = {text_key(example) for example in (*made.test_forget, *made.test_retain)}
    assert not train & test
    assert train | test == {f"question {number}" for number in range(13)}


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet", ";"])
def test_all_file_formats_are_read_alike(tmp_path: Path, suffix: str) -> None:
    file = table(tmp_path, prompt=[f'NA {number}; "quoted"\ttab' for number in range(40)])
    expected = splits(file)
    frame = pd.read_csv(file, dtype=str, keep_default_na=False)
    if suffix == ";":
        frame.to_csv(file, sep=";", index=False, encoding="utf-8-sig")
        suffix = ".csv"
    elif suffix == ".tsv":
        frame.to_csv(file.with_suffix(suffix), sep="\t", index=False)
    elif suffix == ".jsonl":
        frame.to_json(file.with_suffix(suffix), orient="records", lines=True)
    else:
        frame.assign(forget=frame["forget"] == "yes").to_parquet(file.with_suffix(suffix))
    made = splits(file.with_suffix(suffix))
    for (name, examples), (_, others) in zip(expected.items(), made.items(), strict=True):
        assert examples == others, name


def test_words_for_missing_values_stay_text(tmp_path: Path) -> None:
    made = splits(table(tmp_path, answer=["NA", "null"] * 20))
    assert {example.answer for _, examples in made.items() for example in examples} == {"NA", "null"}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({}, {"prompt": "text"}, "no column 'text' .it has prompt, answer, forget.: .*--set path:drinks.prompt=COLUMN"),
        ({"forget": ["perhaps"] * 40}, {}, "row 0: forget is 'perhaps', but must be yes or no.*forget_if=VALUE"),
        ({"forget": ["no"] * 40}, {}, "no row is to be forgotten"),
        ({"forget": ["yes"] * 40}, {}, "every row is to be forgotten"),
        ({}, {"forget_if": "maybe"}, "no row has 'maybe' in column 'forget'"),
        ({"split": ["dev"] * 40}, {}, "row 0: split is 'dev', but must be train or test"),
        ({"split": ["train"] * 40}, {}, "the split test_forget gets no row"),
        ({}, {"split": "part"}, "no column 'part'"),
        ({}, {"template": "no column"}, "names no column"),
        ({}, {"template": "{nowhere}"}, "no column 'nowhere'.*the template names it"),
    ],
)
def test_errors_name_the_problem(
    tmp_path: Path, columns: dict[str, list[str]], options: dict[str, str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        splits(table(tmp_path, **columns), **options)


def test_options_go_by_either_name(tmp_path: Path) -> None:
    file = table(tmp_path)
    for name in (f"path:{file}", "path:drinks"):
        shown = invoke("data", "show", f"path:{file}", "--samples", 0, "--set", f"{name}.test_share=0.5")
        assert shown.exit_code == 0, shown.output
        assert "test_forget" in shown.output
        assert "│ 5 " in shown.output
    wrong = invoke("data", "show", f"path:{file}", "--set", "path:drinks.share=0.5")
    assert "task path:drinks has no option 'share'" in str(wrong.exception)
    wrong = invoke("data", "show", f"path:{file}", "--set", "path:drink.test_share=0.5")
    assert "did you mean 'path:drinks'" in str(wrong.exception)
