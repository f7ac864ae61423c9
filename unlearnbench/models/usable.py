"""Finds out, before the plan, which of a run's models can be loaded; one that can't does not stop the others."""

from __future__ import annotations

from unlearnbench.config import RunConfig
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.errors import ModelError
from unlearnbench.models.loading import load_tokenizer, model_size
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.plugins import Registered


def usable_models(config: RunConfig, registered: dict[str, Registered[ModelSpec]]) -> tuple[RunConfig, dict[str, str]]:
    """The configuration with the models that can be loaded, and the reason why each of the others can't.

    Configurations and tokenizers are loaded, weights are not.

    Raises:
        ModelError: no model can be loaded.
    """
    usable: list[str] = []
    reasons: dict[str, str] = {}
    for name in dict.fromkeys(config.models):
        try:
            model = _resolved(find_model(name, registered))
            model_size(model)
            load_tokenizer(model)
        except ModelError as error:
            reasons[name] = str(error)
        else:
            usable.append(name)
    if not usable and reasons:
        raise ModelError(" ".join(reasons.values()))
    return config.model_copy(update={"models": tuple(usable)}), reasons


def _resolved(spec: ModelSpec) -> ResolvedModel:
    """The resolved model; a folder's weights, which may be large, are not hashed yet."""
    return ResolvedModel(spec, spec.location, None, "") if spec.is_local and spec.gguf is None else resolve(spec)
