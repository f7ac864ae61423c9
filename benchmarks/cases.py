"""The steps that are compared: ours and the published way, on the same weights and rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedModel

from benchmarks import published
from unlearnbench.cell.base import MemoriseLoss, with_lora
from unlearnbench.config import BaseConfig, ModelConfig
from unlearnbench.contract.batch import PartName
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.precision import Precision
from unlearnbench.engine.probe import enable_packing
from unlearnbench.engine.reference import Reference
from unlearnbench.engine.soft_prompt import TrainablePrompt
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.models.loading import load_model
from unlearnbench.models.resolve import ResolvedModel
from unlearnbench.plugins import registry

ALPHA, BETA = 1.0, 1.0
# SST-2 prompts in SmolLM2's tokens: 25 of instruction, then text of exponentially distributed length (measured on
# 3000 reviews: mean 35.3, quartiles 28, 32 and 40, longest 82).
SST2_SHORTEST, SST2_TEXT, SST2_LONGEST = 25, 10.3, 82
# Yelp's: 22 of instruction, then text of log-normally distributed length, cut at the default context length (measured
# on 3000 reviews: mean 185, quartiles 84, 142 and 230).
YELP_SHORTEST, YELP_TEXT, YELP_LONGEST = 22, (4.74, 0.87), 1024
Lengths = Callable[[random.Random], int]


@dataclass(frozen=True)
class Shape:
    """A LLaMA's shape.

    Attributes:
        heads, key_heads: attention heads of queries, and of keys and values.
        tied: whether the LM head is the embedding.
    """

    name: str
    layers: int
    hidden: int
    intermediate: int
    heads: int
    key_heads: int
    vocabulary: int
    tied: bool = True

    def config(self, layers: int) -> LlamaConfig:
        """The model's configuration with so many layers."""
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.key_heads,
            max_position_embeddings=2048,
            tie_word_embeddings=self.tied,
        )


SMOLLM2_135M = Shape("SmolLM2-135M", 30, 576, 1536, 9, 3, 49_152)


@dataclass(frozen=True)
class Settings:
    """What the cases of a line share.

    Attributes:
        layers: of the network.
        dtype: precision of matrix products on both sides.
        budget: tokens per pass of our side; None: the engine's own.
        device: where both sides compute, as torch calls it.
        weights: precision in which weights are kept.
        checkpointing: whether layers are computed again for the backward pass, on both sides.
    """

    layers: int
    dtype: torch.dtype = torch.float32
    budget: int | None = None
    shape: Shape = SMOLLM2_135M
    device: str = "cpu"
    weights: torch.dtype = torch.float32
    checkpointing: bool = False

    @property
    def precision(self) -> str:
        """The precision's name."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def tokens_per_pass(self) -> int:
        """Of our side."""
        kind = torch.device(self.device).type
        return self.budget or Precision(kind, self.weights, self.dtype).tokens_per_pass

    @property
    def parameters(self) -> int:
        """Number of weights."""
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(self.shape.config(self.layers))
        return sum(weight.numel() for weight in network.parameters())

    def network(self, packed: bool = True) -> LlamaForCausalLM:
        """The shape with random weights, always the same; packed rows are our side's."""
        torch.manual_seed(0)
        with torch.device(self.device):
            network: LlamaForCausalLM = AutoModelForCausalLM.from_config(
                self.shape.config(self.layers), dtype=self.weights
            )
        network.eval()
        if packed and not enable_packing(network):
            raise SystemExit("the model does not predict the same with packed rows.")
        if self.checkpointing:
            # Works in training mode only; a LLaMA has no dropout.
            network.train().gradient_checkpointing_enable({"use_reentrant": False})
        return network

    def model(self, network: PreTrainedModel, prompt: Tensor | None = None) -> LanguageModel:
        """Our side's model."""
        return LanguageModel(network, pad=0, compute_dtype=self.dtype, tokens_per_pass=self.budget, prompt=prompt)

    def autocast(self) -> torch.autocast:
        """The published side's precision."""
        mixed = self.dtype != torch.float32 and self.weights == torch.float32
        return torch.autocast(torch.device(self.device).type, self.dtype, enabled=mixed)


def sst2_lengths(generator: random.Random) -> int:
    """Tokens of a row as long as SST-2's are."""
    return min(SST2_LONGEST, SST2_SHORTEST + round(generator.expovariate(1 / SST2_TEXT)))


def yelp_lengths(generator: random.Random) -> int:
    """Tokens of a row as long as Yelp's are."""
    return min(YELP_LONGEST, YELP_SHORTEST + round(generator.lognormvariate(*YELP_TEXT)))


def evenly_up_to(longest: int) -> Lengths:
    """Lengths spread evenly between half of `longest` and `longest`."""
    return lambda generator: generator.randint(longest // 2, longest)


def make_rows(count: int, lengths: Lengths, seed: int, vocabulary: int = SMOLLM2_135M.vocabulary) -> list[Encoded]:
    """Rows of random tokens with one answer token."""
    generator = random.Random(seed)
    sizes = [lengths(generator) for _ in range(count)]
    return [Encoded(tuple(generator.randrange(5, vocabulary) for _ in range(size)), size - 1) for size in sizes]


@dataclass
class Case:
    """One step in both ways. Each function leaves its gradients behind and returns the loss.

    Attributes:
        published: in the precision of our side.
        exact: the published way in float32.
        our_gradient, published_gradient: what was left behind, flat, in the same order.
        trained: what either side puts gradients on.
        flops: operations that a step cannot do without.
    """

    name: str
    ours: Callable[[], float]
    published: Callable[[], float]
    exact: Callable[[], float]
    our_gradient: Callable[[], Tensor]
    published_gradient: Callable[[], Tensor]
    trained: Sequence[Tensor]
    flops: float

    @property
    def device(self) -> torch.device:
        """Where both sides compute."""
        return self.trained[0].device

    def clear(self) -> None:
        """Drops the gradients of both sides."""
        for tensor in self.trained:
            tensor.grad = None


EXACT = Settings(layers=0)
Make = Callable[[Settings, list[Encoded], list[Encoded]], Case]


def spul_case(settings: Settings, forget: list[Encoded], retain: list[Encoded], tokens: int) -> Case:
    """SPUL with `tokens` virtual tokens, frozen weights."""
    network, plain = (settings.network(packed).requires_grad_(False) for packed in (True, False))
    method = registry().method("spul").item(prompt_tokens=tokens, alpha=ALPHA, beta=BETA)
    prompt = TrainablePrompt(network, SoftPrompt(tokens, 128), torch.Generator().manual_seed(0))
    rows = published.pad_rows(retain, settings.device)
    base = published.base_logits_by_row(plain, rows)
    data = TrainingSet({"generic": forget, "retain": retain}, {"retain": _distribution(base)})
    model = settings.model(network)
    step = UnlearningStep(model, method, data, prompt, True, model.budget)
    theirs = published.prompted(plain, tokens).train(settings.checkpointing)
    copy_prompt(prompt, theirs)
    forget_rows = published.pad_rows(forget, settings.device)
    trained = [p for p in theirs.parameters() if p.requires_grad]

    def loss() -> Tensor:
        return published.spul_step(theirs, forget_rows, rows, base, ALPHA, BETA)

    return Case(
        f"SPUL step, p = {tokens}",
        lambda: step(list(range(data.size))),
        _with_backward(loss, settings),
        _with_backward(loss, EXACT),
        lambda: _flat(prompt.parameters()),
        lambda: _flat(trained),
        [*prompt.parameters(), *trained],
        flops=_flops(network, [*forget, *retain], 4, prompt_tokens=tokens),
    )


def weights_case(name: str, settings: Settings, forget: list[Encoded], retain: list[Encoded]) -> Case:
    """GA+KL, GA+GD or NPO+RT on all weights."""
    network, twin = settings.network(), settings.network(packed=False)
    forget_rows, retain_rows = (published.pad_rows(rows, settings.device) for rows in (forget, retain))
    # No step changes the weights, so the twin is its own reference model.
    base = published.base_logits_by_row(twin, retain_rows)
    method = registry().method(name).item()
    references: dict[str, dict[PartName, Reference]] = {
        "ga-kl": {"retain": _distribution(base)},
        "npo-rt": {"forget": _log_probability(twin, forget_rows)},
    }
    data = TrainingSet({"forget": forget, "retain": retain}, references.get(name, {}))
    model = settings.model(network)
    step = UnlearningStep(model, method, data, None, False, model.budget)
    losses: dict[str, Callable[[], Tensor]] = {
        "ga-kl": lambda: published.ga_kl_step(twin, forget_rows, retain_rows, base),
        "ga-gd": lambda: published.gradient_difference_step(twin, forget_rows, retain_rows),
        "npo-rt": lambda: published.npo_rt_step(twin, twin, forget_rows, retain_rows, beta=0.1),
    }

    return Case(
        f"{method.title} step",
        lambda: step(list(range(data.size))),
        _with_backward(losses[name], settings),
        _with_backward(losses[name], EXACT),
        lambda: _flat(network.parameters()),
        lambda: _flat(twin.parameters()),
        [*network.parameters(), *twin.parameters()],
        flops=_flops(network, [*forget, *retain], 6),
    )


def base_case(kind: Literal["lora", "qlora"], settings: Settings, forget: list[Encoded], retain: list[Encoded]) -> Case:
    """The base stage's step: cross-entropy of all rows, LoRA on frozen weights, which QLoRA holds in 4 bits."""
    rows = [*forget, *retain]
    networks = []
    with TemporaryDirectory() as folder:
        settings.network(packed=False).save_pretrained(folder)
        source = ResolvedModel(ModelSpec("random", "Random", "", folder), folder, None, "random")
        for attention in ("auto", "sdpa"):
            config = ModelConfig.model_validate(
                {"device": settings.device, "compute_dtype": settings.precision, "attention": attention}
            )
            torch.manual_seed(0)
            network = load_model(source, config, four_bit=kind == "qlora")
            torch.manual_seed(0)
            adapted = with_lora(network, BaseConfig(kind=kind, dropout=0.0))
            for name, parameter in adapted.named_parameters():
                # As after some steps: PEFT's B starts at zero, where A has no gradient.
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.02)
            networks.append(network)
    network, twin = networks
    padded = published.pad_rows(rows, settings.device)
    model = settings.model(network)
    step = UnlearningStep(model, MemoriseLoss(), TrainingSet({"retain": rows}), None, False, model.budget)
    trained = [[p for p in side.parameters() if p.requires_grad] for side in networks]

    def loss() -> Tensor:
        return published.fine_tuning_step(twin, padded)

    return Case(
        f"Base model's step, {'QLoRA' if kind == 'qlora' else 'LoRA'}",
        lambda: step(list(range(len(rows)))),
        _with_backward(loss, settings),
        _with_backward(loss, EXACT),
        lambda: _flat(trained[0]),
        lambda: _flat(trained[1]),
        [*trained[0], *trained[1]],
        flops=_flops(settings.network(packed=False), rows, 4),
    )


def _with_backward(loss: Callable[[], Tensor], settings: Settings) -> Callable[[], float]:
    def run() -> float:
        with settings.autocast():
            value = loss()
        value.backward()
        return float(value.detach())

    return run


def _flops(network: LlamaForCausalLM, rows: Sequence[Encoded], per_weight: int, prompt_tokens: int = 0) -> float:
    """Operations a step cannot do without: linear layers on real tokens, the head on answer tokens, attention."""
    config = network.config
    linear = sum(p.numel() for layer in network.model.layers for name, p in layer.named_parameters() if "proj" in name)
    tokens = sum(len(row.ids) - 1 for row in rows) + prompt_tokens
    head = config.vocab_size * config.hidden_size * sum(len(row.answer) for row in rows)
    # Scores and weighted values, causal half, forward and twice that backward.
    pairs = sum((len(row.ids) - 1) * ((len(row.ids) - 1) / 2 + prompt_tokens) for row in rows)
    attention = 3 * 4 * pairs * config.hidden_size * config.num_hidden_layers
    return float(per_weight * (linear * tokens + head) + attention)


def _distribution(base: dict[int, Tensor]) -> Reference:
    values = torch.cat([base[index].float().log_softmax(-1) for index in sorted(base)]).cpu().numpy()
    return Reference("distribution", values, np.arange(len(values) + 1))


def _log_probability(network: LlamaForCausalLM, rows: published.Rows) -> Reference:
    base = published.base_logits_by_row(network, rows)
    targets = rows.labels[:, 1:][rows.labels[:, 1:] != published.IGNORED]
    values = torch.cat([base[index].float().log_softmax(-1) for index in sorted(base)]).gather(1, targets[:, None])
    return Reference("log_probability", values[:, 0].cpu().numpy(), np.zeros(0, dtype=np.int64))


def copy_prompt(ours: TrainablePrompt, theirs: torch.nn.Module) -> None:
    theirs.prompt_encoder["default"].load_state_dict(ours.encoder.state_dict())  # type: ignore[union-attr, index]


def _flat(parameters: Iterable[Tensor]) -> Tensor:
    return torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
