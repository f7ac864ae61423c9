"""Tiny random models of many families, as `AutoModelForCausalLM` loads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCABULARY = 64
# What nearly all configurations call the same.
COMMON: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
# Windows shorter than the rows and prompts of the tests.
WINDOW = {"sliding_window": 6}
WINDOWS_IN_TURN = {**WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
SOFT_CAPPED = {"final_logit_softcapping": 5.0, "attn_logit_softcapping": 2.0}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "decoder_sparse_step": 1}
SMALL = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 128, "initializer_range": 0.2}
IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
WORDS = {"vocab_size": VOCABULARY, **IDS}

FAMILIES: dict[str, Mapping[str, Any]] = {
    # name: settings; a name before a colon is the model type
    "llama": COMMON,
    "llama:tied": {**COMMON, "tie_word_embeddings": True},
    "llama:dynamic rotary": {
        **COMMON,
        "max_position_embeddings": 32,
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    },
    "mistral": {**COMMON, **WINDOW},
    "qwen2": COMMON,
    "qwen2:windows": {**COMMON, **WINDOWS_IN_TURN, "use_sliding_window": True},
    "qwen3": COMMON,
    "gemma": COMMON,
    "gemma2": {**COMMON, **WINDOWS_IN_TURN, "query_pre_attn_scalar": 8, **SOFT_CAPPED},
    "gemma3_text": {**COMMON, **WINDOWS_IN_TURN, "query_pre_attn_scalar": 8},
    "cohere": {**COMMON, "logit_scale": 0.25},
    "cohere2": {**COMMON, **WINDOWS_IN_TURN},
    "olmo": COMMON,
    "olmo2": COMMON,
    "olmo3": {**COMMON, **WINDOWS_IN_TURN},
    "granite": {**COMMON, "logits_scaling": 2.0, "residual_multiplier": 0.5},
    "smollm3": COMMON,
    "glm": {**COMMON, "partial_rotary_factor": 0.5},
    "glm4": {**COMMON, "partial_rotary_factor": 0.5},
    "helium": COMMON,
    "phi": COMMON,
    "phi3": {**COMMON, "original_max_position_embeddings": 128},
    "stablelm": COMMON,
    "starcoder2": {**COMMON, **WINDOW},
    "nemotron": COMMON,
    "persimmon": COMMON,
    "ernie4_5": COMMON,
    "seed_oss": COMMON,
    "exaone4": {**COMMON, **WINDOWS_IN_TURN},
    "opt": {**COMMON, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.2},
    "opt:projected": {**COMMON, "ffn_dim": 48, "word_embed_proj_dim": 16, "init_std": 0.2},
    "gpt2": {**WORDS, **SMALL},
    "gpt_bigcode": {**WORDS, **SMALL, "multi_query": True},
    "gptj": {**WORDS, **SMALL, "rotary_dim": 4},
    "codegen": {**WORDS, **SMALL, "rotary_dim": 4},
    "openai-gpt": {**WORDS, **SMALL},
    "gpt_neo": {
        **COMMON,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 6,
    },
    "gpt_neox": {**COMMON, "rotary_pct": 0.5},
    "bloom": {**WORDS, "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    "mpt": {**WORDS, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 128, "initializer_range": 0.2},
    "falcon": {
        **WORDS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.2,
        "alibi": False,
        "new_decoder_architecture": False,
        "multi_query": True,
    },
    "falcon:alibi": {
        **WORDS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "initializer_range": 0.2,
        "alibi": True,
        "new_decoder_architecture": False,
        "multi_query": False,
    },
    "xglm": {**WORDS, "d_model": 32, "num_layers": 2, "attention_heads": 4, "ffn_dim": 48, "init_std": 0.2},
    "biogpt": COMMON,
    "mixtral": {**COMMON, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {**COMMON, **EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3_moe": {**COMMON, **EXPERTS},
    "olmoe": {**COMMON, **EXPERTS},
    "phimoe": {**COMMON, "num_local_experts": 4, "num_experts_per_tok": 2},
    "granitemoe": {**COMMON, "num_local_experts": 4, "num_experts_per_tok": 2},
    "gpt_oss": {**COMMON, **WINDOWS_IN_TURN, "num_local_experts": 4, "num_experts_per_tok": 2},
    "deepseek_v3": {
        **COMMON,
        "num_key_value_heads": 4,
        "head_dim": 4,
        "kv_lora_rank": 8,
        "q_lora_rank": 8,
        "qk_rope_head_dim": 4,
        "qk_nope_head_dim": 4,
        "v_head_dim": 8,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "moe_intermediate_size": 16,
        "first_k_dense_replace": 1,
    },
    "mamba": {**WORDS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "initializer_range": 0.2},
    "mamba2": {
        **WORDS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 4,
        "num_heads": 8,
        "head_dim": 8,
        "n_groups": 1,
        "chunk_size": 8,
    },
    "falcon_mamba": {**WORDS, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "jamba": {
        **COMMON,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
        "mamba_d_state": 4,
        "use_mamba_kernels": False,
    },
    "recurrent_gemma": {
        **COMMON,
        "attention_window_size": 6,
        "lru_width": 32,
        "block_types": ["recurrent", "attention"],
    },
    "rwkv": {
        **WORDS,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "attention_hidden_size": 32,
        "context_length": 128,
        "rescale_every": 1,
    },
    "lfm2": {**COMMON, "layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
}


WINDOWED = ("qwen2:windows", "gemma2", "gemma3_text", "cohere2", "olmo3", "exaone4", "gpt_oss")
WITH_OTHER_STATE = ("mamba", "mamba2", "falcon_mamba", "jamba", "recurrent_gemma", "rwkv", "lfm2")
# Families that the trial refuses to run packed: windows, other state, or attention that transformers can't replace.
NOT_PACKED = {
    *WINDOWED,
    *WITH_OTHER_STATE,
    *("mistral", "starcoder2", "stablelm", "nemotron", "gptj", "codegen", "openai-gpt", "gpt_neo", "bloom", "mpt"),
    *("falcon", "falcon:alibi", "xglm"),
}
# Families that never share a soft prompt, and those that share only one that fits into their windows.
NOT_SHARED = {*WITH_OTHER_STATE, "openai-gpt"}
SHARED_WITHIN_WINDOWS = {*WINDOWED}


def tiny(name: str) -> PreTrainedModel:
    """A random model of a family, in evaluation mode."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(name.partition(":")[0], **FAMILIES[name])
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
    return model
