"""Models that were made elsewhere: a checkpoint, a hub id, or a PEFT adapter with the model below it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unlearnbench.config import ModelConfig
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.errors import UserError, first_line
from unlearnbench.models.loading import load_model, load_tokenizer, save_weights
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.plugins import Registered
from unlearnbench.storage.cache import cache_root, content_hash, file_hash, made

ADAPTER, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Kinds of adapters that are merged into weights.
MERGED = ("LORA", "IA3", "LOHA", "LOKR", "ADALORA", "OFT", "BOFT", "VERA")


@dataclass(frozen=True)
class BroughtModel:
    """A model that was made elsewhere, and can be loaded.

    Attributes:
        model: what is evaluated; an adapter that changes weights has been merged into it.
        prompt: folder of a soft prompt that stands in front of it.
        revision: hash of its files, or the hub's commit.
        given: what it was named by; a folder with its whole path.
    """

    model: ResolvedModel
    prompt: Path | None
    revision: str
    given: str


def is_adapter(given: str) -> bool:
    """Whether a folder holds a PEFT adapter."""
    return (Path(given).expanduser() / ADAPTER).is_file()


def base_of_adapter(folder: Path) -> str:
    """The model that an adapter says it was trained on.

    Raises:
        UserError: it does not say.
    """
    name = _facts(folder).get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise UserError(f"{folder / ADAPTER} does not say which model the adapter belongs to: name it with --base.")
    return name


def find_brought(
    given: str, base: ModelSpec | None, registered: dict[str, Registered[ModelSpec]], config: ModelConfig
) -> BroughtModel:
    """The model that was named.

    Args:
        base: the model that an adapter is put onto; needed for one.

    Raises:
        UserError: there is none, or it can't be loaded.
    """
    if not is_adapter(given):
        model = resolve(find_model(given, registered))
        return BroughtModel(model, None, model.identity, model.path if model.spec.is_local else given)
    folder = Path(given).expanduser().resolve()
    kind = str(_facts(folder).get("peft_type"))
    if not (folder / WEIGHTS).is_file():
        raise UserError(
            f"adapter {folder} has no {WEIGHTS}: save it with model.save_pretrained(folder); no pickle is loaded."
        )
    assert base is not None
    below = resolve(base)
    revision = f"folder:{content_hash([file_hash(folder / name) for name in (ADAPTER, WEIGHTS)])} on {below.identity}"
    if kind == "PROMPT_TUNING":
        return BroughtModel(below, folder, revision, str(folder))
    if kind not in MERGED:
        raise UserError(
            f"adapter {folder} is of kind {kind}, which can't be evaluated: prompt tuning can, and what PEFT "
            f"merges into weights ({', '.join(MERGED)}); or save the whole model, and name that."
        )
    merged = _merged(folder, below, config, revision)
    model = replace(below, path=str(merged), revision=None, identity=revision)
    return BroughtModel(model, None, revision, str(folder))


def _merged(folder: Path, base: ResolvedModel, config: ModelConfig, revision: str) -> Path:
    """The base model with the adapter merged into its weights, and its tokenizer; made once."""

    def make(scratch: Path) -> None:
        from peft import PeftModel

        try:
            adapted: Any = PeftModel.from_pretrained(load_model(base, config), str(folder))
        except (ValueError, RuntimeError, KeyError, TypeError) as error:
            raise UserError(
                f"adapter {folder} does not fit {base.spec.name}: {first_line(error)} Name the model that it was "
                "trained on with --base."
            ) from None
        save_weights(adapted.merge_and_unload(), scratch)
        load_tokenizer(base).save_pretrained(scratch)

    return made(cache_root() / "models" / f"merged-{content_hash([revision, config.dtype])}", make)


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / ADAPTER).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{folder / ADAPTER} can't be read: {first_line(error)} Save the adapter again.") from None
    if not isinstance(facts, dict):
        raise UserError(f"{folder / ADAPTER} is not an adapter's configuration: save the adapter again.")
    return facts
