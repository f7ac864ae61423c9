"""Loads tokenizers and models; safetensors only, no remote code."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnbench.config import ModelConfig
from unlearnbench.errors import ModelError, UserError
from unlearnbench.models.memory import ModelSize
from unlearnbench.models.resolve import ResolvedModel, access_error

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from unlearnbench.engine.precision import Precision


BNB_REPACKS = "support_avx512bf16_for_cpu"


def pick_device(config: ModelConfig) -> torch.device:
    """The configured device; "auto" is a CUDA GPU, else the CPU (an Apple GPU is used only if it is named)."""
    import torch

    name = ("cuda" if torch.cuda.is_available() else "cpu") if config.device == "auto" else config.device
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"device {name!r} is unknown to torch: use auto, cpu, cuda, cuda:N or mps.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device {name!r} was asked for, but torch sees no CUDA GPU: use --device cpu or auto.")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"device {name!r} was asked for, but torch sees no Apple GPU: use --device cpu or auto.")
    return device


def compute_dtype(config: ModelConfig, device: torch.device) -> torch.dtype:
    """The precision of matrix products: bfloat16 if the hardware multiplies it natively, else float32."""
    import torch

    if config.compute_dtype != "auto":
        return getattr(torch, config.compute_dtype)  # type: ignore[no-any-return]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if device.type == "cpu" and _cpu_multiplies_bfloat16() else torch.float32


def precision(config: ModelConfig) -> Precision:
    """The precision of weights and computations under this configuration."""
    import torch

    from unlearnbench.engine.precision import Precision

    device = pick_device(config)
    return Precision(device.type, getattr(torch, config.dtype), compute_dtype(config, device))


def _cpu_multiplies_bfloat16() -> bool:
    import torch

    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def load_tokenizer(model: ResolvedModel) -> PreTrainedTokenizerBase:
    """The model's tokenizer."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model.path, revision=model.revision, trust_remote_code=False)
    except Exception as error:  # tokenizers raise plain exceptions for broken files
        raise access_error(model.spec, error) from None


def load_model(model: ResolvedModel, config: ModelConfig, *, four_bit: bool = False) -> PreTrainedModel:
    """The causal language model, in evaluation mode, weights in `config.dtype` (or NF4).

    Raises:
        UserError: the model is gated, missing, or has no safetensors weights.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    from unlearnbench.engine.probe import enable_packing, runs

    device = pick_device(config)
    options: dict[str, Any] = {"dtype": getattr(torch, config.dtype), "device_map": config.device_map or {"": device}}
    if config.attention != "auto":
        options["attn_implementation"] = config.attention
    if four_bit:
        options["quantization_config"] = _nf4(compute_dtype(config, device))
    loaded: PreTrainedModel
    try:
        loaded, found = AutoModelForCausalLM.from_pretrained(
            model.path,
            revision=model.revision,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except torch.OutOfMemoryError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
        raise access_error(model.spec, error) from None
    if getattr(loaded, "_hf_peft_config_loaded", False):
        # Its weights came from wherever its adapter_config.json says, which no identity covers.
        raise ModelError(f"{model.spec.name} is an adapter on another model: merge them, and name the merged model.")
    missing = sorted(set(found["missing_keys"]) & {name for name, _ in loaded.named_parameters()})
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise ModelError(
            f"the weights of {model.spec.name} lack {missing[0]}{more}, which {type(loaded).__name__} would fill with "
            "random numbers: save the whole model again, as a causal language model."
        )
    loaded.eval()
    if config.gradient_checkpointing:
        _checkpoint_layers(loaded)
    if getattr(loaded.config, "rescale_every", 0):
        # RWKV divides its weights for evaluation, in place, so that saved ones would differ from trained ones.
        loaded.config.rescale_every = 0
    for module in loaded.modules():
        # On some CPUs bitsandbytes repacks weights for evaluation, and can't differentiate through them any more.
        if hasattr(module, BNB_REPACKS):
            setattr(module, BNB_REPACKS, False)
    if four_bit and not runs(loaded):
        raise ModelError(
            f"{type(loaded).__name__} can't run with weights in 4 bits: use --set base.kind=lora or full, and leave "
            "model.frozen_4bit out."
        )
    if config.attention == "auto":
        enable_packing(loaded)
    return loaded


def _checkpoint_layers(network: PreTrainedModel) -> None:
    try:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    except ValueError:
        raise ModelError(
            f"model.gradient_checkpointing is set, but {type(network).__name__} does not support it: leave it out."
        ) from None


def _nf4(dtype: torch.dtype) -> Any:
    """NF4 with double quantisation, as QLoRA (Dettmers et al., 2023)."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


@dataclass(frozen=True)
class Architecture:
    """Properties of a model's architecture that determine its computations if the configuration leaves them open.

    Attributes:
        attention: the implementation that `load_model` chooses.
        drops_out: whether the model has dropout in training.
    """

    attention: str
    drops_out: bool


def architecture(model: ResolvedModel) -> Architecture:
    """The architecture according to the model's own configuration."""
    from unlearnbench.engine.probe import has_windows

    empty = _without_weights(model)
    attention = str(empty.config._attn_implementation)
    numbers = {name: value for name, value in empty.config.to_dict().items() if isinstance(value, int | float)}
    return Architecture(
        "packed" if attention == "sdpa" and not has_windows(empty) else attention,
        any(value > 0 for name, value in numbers.items() if "dropout" in name or "pdrop" in name),
    )


def own_lora_targets(model: ResolvedModel) -> tuple[str, ...]:
    """Modules that LoRA adapts in the model if the user names none."""
    from unlearnbench.models.lora_targets import lora_targets

    return lora_targets(_without_weights(model))


def _without_weights(model: ResolvedModel) -> PreTrainedModel:
    try:
        return _on_meta(model.path, model.revision, model.identity)
    except (OSError, ValueError, RuntimeError) as error:
        raise access_error(model.spec, error) from None


@cache
def _on_meta(path: str, revision: str | None, identity: str) -> PreTrainedModel:
    """The network at `path` without weights; `identity` changes if the files of a folder change."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=False)
    with torch.device("meta"):
        empty: PreTrainedModel = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return empty


def model_size(model: ResolvedModel) -> ModelSize:
    """Number of weights and shape, derived from the configuration alone."""
    empty = _without_weights(model)
    text = empty.config.get_text_config()
    wide = next((getattr(text, name) for name in ("intermediate_size", "ffn_dim") if hasattr(text, name)), None)
    return ModelSize(
        parameters=sum(parameter.numel() for parameter in empty.parameters()),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        # Some configurations list a width for each layer.
        intermediate=max(wide) if isinstance(wide, list | tuple) else wide or 4 * text.hidden_size,
    )


def save_weights(model: PreTrainedModel, folder: Path) -> None:
    """Saves the model in safetensors under the names that its weights have in memory, so that they can be restored.

    A model's own files may use other names and split what is one tensor in memory (GPT-NeoX, mixtures of experts);
    transformers loads either.
    """
    model.save_pretrained(folder, save_original_format=False)


def restore_weights(model: PreTrainedModel, folder: Path) -> None:
    """Copies weights saved by `save_weights` into `model`, tensor by tensor and in place, without a second model.

    Raises:
        UserError: the folder's weights are not those of this model.
    """
    import torch
    from safetensors import safe_open

    targets = model.state_dict(keep_vars=True)
    restored: set[int] = set()
    with torch.no_grad():
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as weights:
                for name in weights.keys():  # noqa: SIM118 - safe_open is not a mapping
                    if name not in targets:
                        raise UserError(
                            f"{file} contains {name}, which the model does not have: delete the folder {folder}."
                        )
                    targets[name].copy_(weights.get_tensor(name))
                    restored.add(id(targets[name]))
    missing = [name for name, target in targets.items() if id(target) not in restored]
    if missing:
        raise UserError(f"{folder} lacks the weights {missing[0]}: delete the folder so that it is made again.")
