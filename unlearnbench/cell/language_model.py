"""A network as it is trained and evaluated with a configuration, alone or behind a soft prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from unlearnbench.config import ModelConfig
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.probe import can_share_prefix
from unlearnbench.models.loading import compute_dtype, pick_device

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def language_model(network: PreTrainedModel, encoder: Encoder, config: ModelConfig) -> LanguageModel:
    """The network in the precision and with the passes of the configuration."""
    return LanguageModel(
        network,
        pad=encoder.pad,
        compute_dtype=compute_dtype(config, pick_device(config)),
        tokens_per_pass=config.tokens_per_pass,
    )


def behind(prompt: Tensor, model: LanguageModel) -> LanguageModel:
    """The model behind a soft prompt ``[virtual tokens, width]``, which rows share if the network can do that."""
    return model.with_prompt(prompt, can_share_prefix(model.network, prompt.to(model.device, model.network.dtype)))
