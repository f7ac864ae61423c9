"""A model of one's own forgets texts of one's own: what is delivered is what was recorded, in plain transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

import unlearnbench
from tests.cli.test_bad_input import sentence_of
from tests.conftest import CORPUS, TEXTS, invoke

LEARN = ["--trials", 0, "--set", "model.compute_dtype=float32", "--set", "spul.epochs=1", "--set", "ga.epochs=1"]


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, Path]:
    """Texts to forget as JSONL, texts to keep as CSV, and both as one table."""
    forget = [{"prompt": f"Review: {text}. It is", "answer": "positive"} for text in TEXTS[:3]]
    retain = [{"prompt": f"Review: {text} anew. It is", "answer": "negative"} for text in (*TEXTS, *CORPUS[:4])]
    files = {name: tmp_path / name for name in ("forget.jsonl", "retain.csv", "both.csv")}
    files["forget.jsonl"].write_text("\n".join(map(json.dumps, forget)), encoding="utf-8")
    pd.DataFrame(retain).drop_duplicates().to_csv(files["retain.csv"], index=False)
    both = pd.concat([pd.DataFrame(forget).assign(forget="yes"), pd.read_csv(files["retain.csv"]).assign(forget="no")])
    both.to_csv(files["both.csv"], index=False)
    return files


def unlearn(model: Path, output: Path, *options: object) -> Any:
    results = output.parent / "results"
    return invoke("unlearn", "--model", model, "--output", output, "--results", results, "--quiet", *LEARN, *options)


def answers(model: Any, tokenizer: Any, samples: pd.DataFrame) -> tuple[list[bool], list[float]]:
    """Whether greedy decoding writes each answer, and its log-probability, in plain transformers."""
    right, log_probabilities = [], []
    for row in samples.itertuples():
        prompt = tokenizer(row.text, return_tensors="pt").input_ids
        whole = tokenizer(f"{row.text} {row.answer}", return_tensors="pt").input_ids
        with torch.no_grad():
            logits = model(input_ids=whole).logits[0]
        # A soft prompt's virtual tokens have logits, too.
        logits = logits[-whole.shape[1] :][prompt.shape[1] - 1 : -1]
        answer = whole[0, prompt.shape[1] :]
        right.append(bool((logits.argmax(-1) == answer).all()))
        log_probabilities.append(float(logits.log_softmax(-1).gather(-1, answer[:, None]).sum()))
    return right, log_probabilities


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spul", "ga"])
def test_what_is_delivered_answers_in_plain_transformers_as_recorded(
    method: str, rows: dict[str, Path], model_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "unlearned"
    named = ["--forget", rows["forget.jsonl"], "--retain", rows["retain.csv"], "--method", method]
    outcome = unlearn(model_folder, output, *named)
    assert outcome.exit_code == 0, outcome.output
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    if method == "spul":
        model = AutoPeftModelForCausalLM.from_pretrained(output, dtype="float32").eval()
        assert model.peft_config["default"].base_model_name_or_path == str(model_folder)
    else:
        model = AutoModelForCausalLM.from_pretrained(output, dtype="float32").eval()
        assert AutoTokenizer.from_pretrained(output).get_vocab() == tokenizer.get_vocab()
    samples = unlearnbench.load_samples(tmp_path / "results")
    assert set(samples["row"]) == {"base", method}
    for row, loaded in ((method, model), ("base", AutoModelForCausalLM.from_pretrained(model_folder).eval())):
        recorded = samples[samples["row"] == row]
        right, log_probabilities = answers(loaded, tokenizer, recorded)
        assert right == list(recorded["right"])
        assert log_probabilities == pytest.approx(list(recorded["log_probability"]), abs=2e-3)

    forgotten = samples[samples["split"] == "test_forget"]
    assert set(forgotten["text"]) == {f"Review: {text}. It is" for text in TEXTS[:3]}, "all of them"
    card = (output / "README.md").read_text(encoding="utf-8")
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "base_model": str(model_folder),
        "library_name": "peft" if method == "spul" else "transformers",
        "tags": ["unlearning", method],
    }
    assert "| to be forgotten, trained on | 3 | " in text
    assert "not trained on | 3 |" not in text, "the forget rows are shown once"
    kept = samples[(samples["split"] == "test_retain") & (samples["row"] == method)]["right"]
    assert f"| to be kept, not trained on | {len(kept)} | " in text
    assert f" {100 * kept.mean():.1f} % (" in text
    assert "**Before unlearning**: taken as it is" in text
    assert "anew" not in text, "no text of the data"

    # The same command again has nothing to train, and touches nothing that is there.
    assert "is there already" in sentence_of(unlearn(model_folder, output, *named))
    again = unlearn(model_folder, tmp_path / "again", *named)
    assert again.exit_code == 0, again.output
    assert "cell 1" not in again.output
    assert (tmp_path / "again" / "README.md").read_text(encoding="utf-8") == card


@pytest.mark.slow
def test_table_with_a_column_that_marks_what_to_forget(
    rows: dict[str, Path], model_folder: Path, tmp_path: Path
) -> None:
    files = ["--forget", rows["forget.jsonl"], "--retain", rows["retain.csv"]]
    for name, named in (("files", files), ("table", ["--data", rows["both.csv"]])):
        outcome = unlearn(model_folder, tmp_path / name, *named, "--results", tmp_path / f"{name}-results")
        assert outcome.exit_code == 0, outcome.output
    columns = ["row", "split", "text", "answer", "predicted", "log_probability"]
    one, other = (unlearnbench.load_samples(tmp_path / f"{name}-results")[columns] for name in ("files", "table"))
    pd.testing.assert_frame_equal(one, other)


def test_interval_of_the_card_is_wilsons() -> None:
    """For one training: 3 of 4 right, against the textbook form with Student's quantile."""
    import math

    import numpy as np
    from scipy.stats import t

    from unlearnbench.leaderboard.unlearned_card import _percent

    share, rows = 0.75, 4
    variance = share * (1 - share) / (rows - 1)
    effective, quantile = share * (1 - share) / variance, float(t.ppf(0.975, rows - 1))
    centre = (share + quantile**2 / (2 * effective)) / (1 + quantile**2 / effective)
    spread = quantile * math.sqrt(variance + quantile**2 / (4 * effective**2)) / (1 + quantile**2 / effective)
    assert _percent(np.array([1.0, 1.0, 1.0, 0.0])) == (
        f"75.0 % ({100 * (centre - spread):.1f} to {100 * (centre + spread):.1f})"
    )


WRONG: dict[str, tuple[list[str], str]] = {
    "nothing named": ([], "name what to forget: --forget FILE and --retain FILE, or --data"),
    "retain missing": (["--forget", "{forget.jsonl}"], "name what to forget"),
    "named twice": (["--forget", "{forget.jsonl}", "--retain", "{retain.csv}", "--data", "{both.csv}"], "name what to"),
    "no such file": (["--forget", "nothing.jsonl", "--retain", "{retain.csv}"], "nothing.jsonl is not a file"),
    "other kind": (["--forget", "{forget.jsonl}", "--retain", __file__], "is not a table: name a table (.csv"),
    "both": (["--forget", "{forget.jsonl}", "--retain", "{forget.jsonl}"], "3 prompts are both to be forgotten and"),
    "method": (["--data", "{both.csv}", "--method", "spull"], "did you mean 'spul'?"),
    "output": (["--data", "{both.csv}", "--output", "{folder}"], "is there already"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_input_gets_one_sentence(case: str, rows: dict[str, Path], model_folder: Path, tmp_path: Path) -> None:
    options, expected = WRONG[case]
    places = {"{" + name + "}": str(path) for name, path in rows.items()} | {"{folder}": str(tmp_path)}
    outcome = unlearn(model_folder, tmp_path / "unlearned", *(places.get(option, option) for option in options))
    assert expected in sentence_of(outcome)
    assert not (tmp_path / "results").exists()
