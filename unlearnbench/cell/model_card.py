"""The card of a stored prompt adapter: what it is, and in front of which model it belongs."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from unlearnbench import __version__
from unlearnbench.cell.cell import Cell
from unlearnbench.models.brought import ADAPTER

CARD = """\
---
{header}---

# {method}: a soft prompt for {model} on {task}

{tokens} virtual tokens, trained by unlearnbench {version} (seed {seed}); the weights were not changed.

**They belong in front of the model that they were trained with**{place}:

    {base}

    from peft import AutoPeftModelForCausalLM
    model = AutoPeftModelForCausalLM.from_pretrained("the folder of this card")
{again}
{model} was read from {source}.
"""
FINE_TUNED = """\
: not {model} as it is, but {model} fine-tuned on
the training rows of {task}. On the machine that made it, it is the folder that `adapter_config.json` names"""
AGAIN = """
If it is not there any more, the `config.yaml` that is recorded with this adapter makes it again, in `again/models`:

    unlearnbench run --config config.yaml --results again --keep-models
"""
AS_IT_IS = ", {model} as it is"


def write_card(adapter: Path, cell: Cell) -> None:
    """Writes README.md into the folder of a saved prompt adapter."""
    assert cell.choice is not None
    facts = json.loads((adapter / ADAPTER).read_text(encoding="utf-8"))
    base = facts["base_model_name_or_path"]
    model, method = cell.scenario.model, cell.choice.method
    header = {"base_model": base, "library_name": "peft", "tags": ["unlearning", method.name]}
    as_it_is = cell.scenario.base_id.recipe is None
    names = {"model": model.spec.title, "task": cell.scenario.data.task.title}
    text = CARD.format(
        **names,
        place=(AS_IT_IS if as_it_is else FINE_TUNED).format(**names),
        again="" if as_it_is else AGAIN,
        header=yaml.safe_dump(header, sort_keys=False, width=1000),
        method=method.title,
        tokens=facts["num_virtual_tokens"],
        version=__version__,
        seed=cell.scenario.seed,
        base=base,
        source=f"{model.path} at {model.revision}" if model.revision else model.path,
    )
    (adapter / "README.md").write_text(text, encoding="utf-8")
