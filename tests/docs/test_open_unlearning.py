"""The method and the task of the page for people who come from open-unlearning work as they are printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from unlearnbench.contract.source import DataSource
from unlearnbench.testing import Check, method_checks

PAGE = Path(__file__).parents[2] / "docs" / "open-unlearning.md"
METHOD, TASK = (
    dict[str, Any](__name__="printed") | {"source": block}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)
for printed in (METHOD, TASK):
    exec(printed["source"], printed)


@pytest.mark.parametrize("check", method_checks(METHOD["SimNPO"]), ids=str)
def test_method_passes_the_checks(check: Check) -> None:
    check()


def test_task_reads_rows_in_hub_layout(tmp_path: Path) -> None:
    folder = tmp_path / "locuslab" / "TOFU"
    configs = []
    for part in TASK["PARTS"]:
        kinds = ("", "paraphrased_") if part.endswith("_perturbed") else ("",)
        columns = {
            f"{kind}{column}": [f"{part} {kind}{column} {number}" for number in range(3)]
            for kind in kinds
            for column in ("question", "answer")
        }
        (folder / part).mkdir(parents=True)
        pd.DataFrame(columns).to_parquet(folder / part / "train-0.parquet")
        configs.append(f"- config_name: {part}\n  data_files:\n  - split: train\n    path: {part}/train-*\n")
    (folder / "README.md").write_text(f"---\nconfigs:\n{''.join(configs)}---\n", encoding="utf-8")
    splits = TASK["Tofu"]().splits(DataSource(tmp_path), 0)
    assert splits.train_forget[0].prompt == "Question: forget10 question 0\nAnswer:"
    assert splits.test_retain[2].answer == "retain_perturbed paraphrased_answer 2"
