"""The soft prompt as a trainable module, and as a saved PEFT adapter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unlearnbench.contract.method import SoftPrompt
from unlearnbench.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class TrainablePrompt(nn.Module):
    """`SoftPrompt.tokens` vectors, directly or through the MLP of P-tuning (PEFT's `PromptEncoder`)."""

    def __init__(self, model: PreTrainedModel, prompt: SoftPrompt, generator: torch.Generator) -> None:
        super().__init__()
        embeddings = model.get_input_embeddings()
        size = int(embeddings.weight.shape[1])
        self.tokens = prompt.tokens
        self.encoder: nn.Module
        if prompt.hidden is None:
            chosen = torch.randint(model.config.get_text_config().vocab_size, (prompt.tokens,), generator=generator)
            vectors = embeddings(chosen.to(embeddings.weight.device)).detach().clone().float()
            self.encoder = nn.Embedding(prompt.tokens, size, _weight=vectors)
        else:
            self.encoder = _prompt_encoder(prompt.tokens, size, prompt.hidden, generator)
        self.to(embeddings.weight.device)

    def forward(self) -> Tensor:
        """``[tokens, hidden]`` embeddings of the virtual tokens, in float32."""
        device = next(self.parameters()).device
        vectors: Tensor = self.encoder(torch.arange(self.tokens, device=device))
        return vectors


def _prompt_encoder(tokens: int, size: int, hidden: int, generator: torch.Generator) -> nn.Module:
    from peft import PromptEncoder, PromptEncoderConfig

    config = PromptEncoderConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=tokens,
        token_dim=size,
        num_transformer_submodules=1,
        encoder_hidden_size=hidden,
    )
    # PEFT draws the initial values from the global generator.
    with torch.random.fork_rng():
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        encoder: nn.Module = PromptEncoder(config)
    return encoder


def save_adapter(
    embeddings: Tensor, model: PreTrainedModel, base: str, folder: Path, revision: str | None = None
) -> None:
    """Writes ``[tokens, hidden]`` virtual tokens as a PEFT prompt-tuning adapter.

    ``PeftModel.from_pretrained(model, folder)`` loads it, without the MLP. `base` is the base model that the adapter's
    config names, `revision` its commit on the hub.
    """
    from peft import PromptTuningConfig
    from safetensors.torch import save_file

    tokens, size = embeddings.shape
    shape = model.config.get_text_config()
    config = PromptTuningConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        revision=revision,
        num_virtual_tokens=tokens,
        token_dim=size,
        num_transformer_submodules=1,
        # PEFT requires a number, which prompt tuning does not use; state-space models have no heads.
        num_attention_heads=getattr(shape, "num_attention_heads", 1),
        num_layers=shape.num_hidden_layers,
        inference_mode=True,
    )
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    save_file(
        {"prompt_embeddings": embeddings.detach().float().cpu().contiguous()}, folder / "adapter_model.safetensors"
    )


def load_adapter(folder: Path) -> Tensor:
    """``[tokens, hidden]`` virtual tokens of a saved adapter.

    Raises:
        UserError: the folder, which may come from somebody else, does not contain an adapter.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    file = folder / "adapter_model.safetensors"
    try:
        embeddings: Tensor = load_file(file)["prompt_embeddings"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{file} does not hold a prompt adapter: {first_line(error)}") from None
    if embeddings.ndim != 2 or 0 in embeddings.shape or not embeddings.is_floating_point():
        raise UserError(f"{file} holds prompt embeddings of shape {list(embeddings.shape)}, not [tokens, hidden].")
    return embeddings
