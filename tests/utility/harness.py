"""Tasks for lm-evaluation-harness made of local files."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

QUESTIONS = [
    {"question": f"{first} {second}", "choices": ["positive", "negative", "a warm film"], "answer": number % 3}
    for number, (first, second) in enumerate(
        (first, second)
        for first in ("a warm", "dull , slow", "the plot", "boring")
        for second in ("film", "mess", "cast")
    )
]


def write_task(folder: Path, name: str = "reviews", **changes: object) -> Path:
    """A multiple-choice task of twelve questions, in a folder that holds nothing but tasks."""
    data = folder.parent / f"data of {folder.name}"
    folder.mkdir(exist_ok=True)
    data.mkdir(exist_ok=True)
    (data / f"{name}.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)), encoding="utf-8")
    metrics = [{"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in ("acc", "acc_norm")]
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data / f"{name}.jsonl")}},
        "output_type": "multiple_choice",
        "test_split": "test",
        "doc_to_text": "{{question}} :",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "metric_list": metrics,
        "metadata": {"version": 2.0},
        **changes,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
    return folder
