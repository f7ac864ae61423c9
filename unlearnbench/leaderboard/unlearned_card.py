"""The card of an unlearned model: how it is loaded, how it scores beside the model before, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import yaml

from unlearnbench.identity.ids import HeldBaseId, TrainedId
from unlearnbench.leaderboard.accuracies import accuracy_score
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.markdown import escape
from unlearnbench.leaderboard.statistics import Floats, interval

CARD = """\
---
{header}---

# {model}, unlearned with {method} on {task}

{kind}, made by unlearnbench {version}.

## Use

```python
{use}
```

{place}

## Scores

| rows | number | before | after |
|---|---:|---:|---:|
{scores}

Share of the rows that the model answers as they stand in the data: behind the prompt and one space, each token of the
answer is the most probable one. In brackets a 95 % interval over rows; it knows nothing of what another training would
do.{tested}

What this does not show: whether the model answers the same questions in other words, whether a few steps of training
bring the answers back, and what else it lost.{removable}

## How it was made

{made}

`config.yaml` beside this card makes it again: `unlearnbench run --config config.yaml --keep-models`.
"""
PROMPT = "{tokens} virtual tokens (a soft prompt) for {model}, whose weights were not changed"
WEIGHTS = "All weights of {model} after unlearning"
USE_PROMPT = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("this folder", dtype="{dtype}")
tokenizer = AutoTokenizer.from_pretrained({base!r})"""
USE_WEIGHTS = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("this folder", dtype="{dtype}")
tokenizer = AutoTokenizer.from_pretrained("this folder")"""
REMOVABLE = " A soft prompt can be left out: whoever has the model's weights has all that it knew."
ROWS = {
    "train_forget": "to be forgotten, trained on",
    "test_forget": "to be forgotten, not trained on",
    "train_retain": "to be kept, trained on",
    "test_retain": "to be kept, not trained on",
}


@dataclass(frozen=True)
class Delivered:
    """What lies beside the card.

    Attributes:
        base: the model that it was made from, as transformers finds it.
        tokens: virtual tokens of a soft prompt; None if weights were changed.
        source: the model, and where it comes from.
    """

    base: str
    tokens: int | None
    source: str


def unlearned_card(
    delivered: Delivered, before: Mapping[str, Floats], after: Mapping[str, Floats], entry: Entry
) -> str:
    """The card as Markdown.

    Args:
        before, after: ``[rows]`` by split: 1 for each right answer, else 0.
        entry: the result of the unlearned model.
    """
    identity = entry.identity.subject
    assert isinstance(identity, TrainedId)
    names = {"model": entry.model, "tokens": delivered.tokens, "base": delivered.base}
    names["dtype"] = identity.precision.weights
    prompted = delivered.tokens is not None
    header = {
        "base_model": delivered.base,
        "library_name": "peft" if prompted else "transformers",
        "tags": ["unlearning", entry.row],
    }
    return CARD.format(
        header=yaml.safe_dump(header, sort_keys=False, width=1000),
        model=entry.model,
        method=entry.title,
        task=entry.task.removeprefix("path:"),
        kind=(PROMPT if prompted else WEIGHTS).format(**names),
        version=entry.versions["unlearnbench"],
        use=(USE_PROMPT if prompted else USE_WEIGHTS).format(**names),
        place=_place(delivered, identity.start),
        scores="\n".join(_line(name, before[name], after[name]) for name in _different(entry)),
        tested=_tested(identity),
        removable=REMOVABLE if prompted else "",
        made=_made(delivered, entry, identity),
    )


def _different(entry: Entry) -> list[str]:
    """The splits, without a test split that is the training split again."""
    rows = {one.name: one.rows for one in entry.identity.splits}
    again = rows["train_forget"] == rows["test_forget"]
    return [name for name in ROWS if not (again and name == "test_forget")]


def _line(split: str, before: Floats, after: Floats) -> str:
    return f"| {ROWS[split]} | {len(after)} | {_percent(before)} | {_percent(after)} |"


def _percent(right: Floats) -> str:
    low, high = interval(accuracy_score(np.atleast_2d(right)))
    return f"{100 * right.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def _place(delivered: Delivered, start: HeldBaseId) -> str:
    if delivered.tokens is None:
        return ""
    what = "that very model" if start.base.recipe is None else "that model, fine-tuned on the rows,"
    return f"The soft prompt was trained in front of {what} and means nothing in front of another: `{delivered.base}`."


def _tested(identity: TrainedId) -> str:
    if identity.trials and identity.trials > 1:
        return (
            f" The values below are the best of {identity.trials} trials, judged on the rows that were trained on: the "
            "share of these after unlearning is on the good side of what another training would give."
        )
    return ""


def _made(delivered: Delivered, entry: Entry, identity: TrainedId) -> str:
    recipe = identity.start.base.recipe
    chosen = ", ".join(f"{name} {value}" for name, value in sorted(entry.hyperparameters.items()))
    ranges = ", ".join(f"{name} {space}" for name, space in identity.method.space)
    sizes = ", ".join(f"{entry.data.sizes[name]} {ROWS[name]}" for name in _different(entry))
    facts = {
        "Model": delivered.source,
        "Before unlearning": "taken as it is"
        if recipe is None
        else f"fine-tuned on the rows for {recipe.epochs} epochs ({'LoRA, merged' if recipe.lora else 'all weights'})",
        "Method": f"{entry.title} ({entry.plugin})",
        "Values": chosen,
        "Tuned": f"{ranges}; {identity.trials} trials" if ranges else "nothing",
        "Rows": f"{sizes}; content hash {entry.data.fingerprint}",
        "Seed": str(entry.seed),
        "Versions": ", ".join(f"{name} {version}" for name, version in sorted(entry.versions.items())),
        "Hardware": ", ".join(f"{name}: {value}" for name, value in sorted(entry.hardware.items())),
        "Made on": entry.recorded.date().isoformat(),
    }
    return "\n".join(f"- **{name}**: {escape(value)}" for name, value in facts.items())
