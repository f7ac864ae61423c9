"""A tiny random model, generated rows, and a method's step on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearnbench.contract.batch import PartName, ReferenceKind
from unlearnbench.contract.method import Method
from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import LlamaForCausalLM

    from unlearnbench.engine.encoded import Encoded
    from unlearnbench.engine.model import LanguageModel
    from unlearnbench.engine.reference import Reference
    from unlearnbench.engine.soft_prompt import TrainablePrompt
    from unlearnbench.engine.unlearning import UnlearningStep

VOCABULARY = 61
ROWS = 6
# Learning rates for the tiny model; those of methods are meant for real models.
WEIGHTS_RATE, PROMPT_RATE = 5e-3, 5e-2
STEPS = 25


class Rig:
    """A method that trains the tiny model.

    Attributes:
        prompt: the soft prompt that is trained, or None if the method trains the weights.
        step: computes gradients over items of `data`.
    """

    def __init__(self, method: Method, budget: int = 10_000) -> None:
        import torch

        from unlearnbench.engine.model import LanguageModel
        from unlearnbench.engine.soft_prompt import TrainablePrompt
        from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep

        self.method = method
        self.network = tiny_llama(VOCABULARY)
        model = LanguageModel(self.network, pad=0, tokens_per_pass=budget)
        layer = method.hidden_layer(model.layers)
        rows: dict[PartName, list[Encoded]] = {"forget": _rows(1), "generic": _rows(1, answers=2), "retain": _rows(3)}
        self.data = TrainingSet(
            {name: rows[name] for name in method.uses},
            {
                name: _reference(LanguageModel(self.network, pad=0), rows[name], kind, layer)
                for name, kind in method.references.items()
            },
        )
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(method.trains(name, model.layers))
        soft_prompt = method.soft_prompt()
        self.prompt: TrainablePrompt | None = None
        if soft_prompt is not None:
            self.network.requires_grad_(False)
            self.prompt = TrainablePrompt(self.network, soft_prompt, torch.Generator().manual_seed(0))
        shared = soft_prompt is not None
        self.step: UnlearningStep = UnlearningStep(model, method, self.data, self.prompt, shared, budget, layer)

    @property
    def trained(self) -> list[Tensor]:
        """The parameters that the method trains."""
        return [parameter for parameter in (self.prompt or self.network).parameters() if parameter.requires_grad]

    @property
    def everything(self) -> list[int]:
        """All items of the training set."""
        return list(range(self.data.size))

    def gradients(self, items: list[int]) -> tuple[float, Tensor]:
        """The loss of a step and its flattened gradients."""
        import torch

        for parameter in self.trained:
            parameter.grad = None
        loss = self.step(items)
        flat = [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in self.trained]
        return loss, torch.cat(flat)

    def train(self) -> list[float]:
        """Trains for `STEPS` steps over all items; returns the losses."""
        from unlearnbench.engine.training import Optimisation, Progress, train

        losses: list[float] = []

        def on_step(progress: Progress) -> None:
            losses.append(progress.loss)

        rate = WEIGHTS_RATE if self.prompt is None else PROMPT_RATE
        settings = Optimisation(rate, STEPS, self.data.size, 0.0, 0.0, 1.0)
        train(self.trained, self.data.size, self.step, settings, 0, on_step)
        return losses


def tiny_llama(vocabulary: int = 400, seed: int = 0) -> LlamaForCausalLM:
    """A random two-layer LLaMA with grouped-query attention."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


def _rows(seed: int, answers: int = 1) -> list[Encoded]:
    """Rows of different lengths with answers of one or two tokens; the same seed gives the same prompts."""
    from unlearnbench.engine.encoded import Encoded

    generator = random.Random(seed)
    prompts = [tuple(generator.randrange(5, VOCABULARY) for _ in range(4 + i)) for i in range(ROWS)]
    generator = random.Random(seed + answers)
    ends = [tuple(generator.randrange(5, VOCABULARY) for _ in range(1 + i % 2)) for i in range(ROWS)]
    return [Encoded((*prompt, *end), len(prompt)) for prompt, end in zip(prompts, ends, strict=True)]


def _reference(model: LanguageModel, rows: Sequence[Encoded], kind: ReferenceKind, layer: int | None) -> Reference:
    """The model's own outputs plus noise, so that they differ from the model's as those of a base model would."""
    import numpy as np
    import torch

    from unlearnbench.engine.reference import Reference

    generator = torch.Generator().manual_seed(0)

    def noisy(values: Tensor) -> Tensor:
        return values + 0.3 * torch.randn(values.shape, generator=generator)

    outputs: dict[int, Tensor] = {}
    if kind == "hidden_states":
        if layer is None:
            raise UserError(f"a reference of kind {kind!r} needs hidden_layer to name the layer.")
        for indices, states in model.hidden_states(rows, layer):
            sizes = [len(rows[index].ids) - 1 for index in indices]
            outputs |= dict(zip(indices, torch.split_with_sizes(noisy(states), sizes), strict=True))
    else:
        for indices, _, logits in model.predict(rows):
            sizes = [len(rows[index].answer) for index in indices]
            distributions = noisy(logits).log_softmax(-1)
            outputs |= dict(zip(indices, torch.split_with_sizes(distributions, sizes), strict=True))
    starts = np.cumsum([0, *(len(outputs[index]) for index in range(len(rows)))])
    if kind != "log_probability":
        return Reference(kind, torch.cat([outputs[index] for index in range(len(rows))]).numpy(), starts)
    chosen = [outputs[i].gather(-1, torch.tensor(row.answer)[:, None]).sum() for i, row in enumerate(rows)]
    return Reference(kind, torch.stack(chosen).numpy(), starts)
