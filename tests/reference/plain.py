"""A whole cell as plainly as it can be written: transformers, PEFT and PyTorch, one row at a time.

Nothing of the package is imported here: no packing, no passes, no cache, no shared prefix, no stored reference values.
The equations are those of docs/protocol.md. It is slow, and it is what the engine has to agree with.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from sklearn.metrics import accuracy_score, f1_score
from torch import Tensor, nn
from torch.nn.functional import kl_div, logsigmoid

# Prompt and answer as token ids.
Row = tuple[list[int], list[int]]
# Rows of each part of a step: forget, generic (the forget prompts with a generic answer each) and retain.
Step = Mapping[str, Sequence[Row]]


@dataclass(frozen=True)
class Schedule:
    """AdamW with linear warm-up and a cosine down to zero."""

    learning_rate: float
    epochs: int
    batch_size: int
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float


@dataclass(frozen=True)
class Precision:
    """Precision of matrix products."""

    low: bool

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            yield


def tokens(tokenizer: Any, prompt: str, answer: str) -> Row:
    """The answer's tokens are what the whole text has beyond the prompt's."""
    front, whole = tokenizer(prompt).input_ids, tokenizer(f"{prompt} {answer}").input_ids
    assert whole[: len(front)] == front
    return front, whole[len(front) :]


def log_probabilities(network: nn.Module, row: Row, precision: Precision) -> Tensor:
    """``[answer tokens, vocab]`` log-probabilities at the places that predict the answer.

    PEFT puts its virtual tokens in front by itself, so places are counted from the end.
    """
    prompt, answer = row
    with precision():
        logits: Tensor = network(input_ids=torch.tensor([prompt + answer])).logits[0]
    return logits[-len(answer) - 1 : -1].float().log_softmax(-1)


def of_answer(distribution: Tensor, row: Row) -> Tensor:
    """``[answer tokens]`` log-probability of each answer token."""
    return distribution.gather(-1, torch.tensor(row[1])[:, None])[:, 0]


@dataclass
class Objective:
    """The six methods' losses; `base` is a live copy of the base model."""

    method: str
    network: nn.Module
    base: nn.Module
    values: Mapping[str, Any]
    precision: Precision

    def __call__(self, step: Step) -> Tensor:
        if self.method == "base":
            return self.cross_entropy(step["retain"])
        if self.method == "ga":
            return -self.cross_entropy(step["forget"])
        if self.method == "rl":
            return self.cross_entropy(step["generic"])
        if self.method == "ga-gd":
            return -self.cross_entropy(step["forget"]) + self.cross_entropy(step["retain"])
        if self.method == "ga-kl":
            return -self.cross_entropy(step["forget"]) + self.divergence(step["retain"])
        if self.method == "npo-rt":
            return self.preference(step["forget"]) + self.cross_entropy(step["retain"])
        assert self.method == "spul"
        retain = self.values["alpha"] * self.cross_entropy(step["retain"])
        return self.cross_entropy(step["generic"]) + retain + self.values["beta"] * self.divergence(step["retain"])

    def cross_entropy(self, rows: Sequence[Row]) -> Tensor:
        """Mean over all answer tokens of the step."""
        if not rows:
            return torch.zeros(())
        found = [of_answer(log_probabilities(self.network, row, self.precision), row) for row in rows]
        return -torch.cat(found).mean()

    def divergence(self, rows: Sequence[Row]) -> Tensor:
        """KL(model || base), mean over all answer tokens of the step; the base's log-probabilities as float16."""
        if not rows:
            return torch.zeros(())
        model = torch.cat([log_probabilities(self.network, row, self.precision) for row in rows])
        with torch.no_grad():
            base = torch.cat([log_probabilities(self.base, row, self.precision) for row in rows]).half().float()
        return kl_div(base, model, reduction="sum", log_target=True) / len(model)

    def preference(self, rows: Sequence[Row]) -> Tensor:
        """-(2 / beta) E log sigmoid(-beta log(p / p_base)), mean over the examples of the step."""
        if not rows:
            return torch.zeros(())
        ratios = []
        for row in rows:
            with torch.no_grad():
                base = of_answer(log_probabilities(self.base, row, self.precision), row).sum()
            ratios.append(of_answer(log_probabilities(self.network, row, self.precision), row).sum() - base)
        beta = self.values["beta"]
        return -2 / beta * logsigmoid(-beta * torch.stack(ratios)).mean()


def train(
    objective: Callable[[Step], Tensor],
    parameters: Sequence[nn.Parameter],
    size: int,
    pick: Callable[[list[int]], Step],
    schedule: Schedule,
    seed: int,
) -> list[float]:
    """One optimisation step after the other; returns the losses.

    Of weights in bfloat16 a float32 copy is updated, and rounded after each step.
    """
    exact = [p if p.dtype == torch.float32 else nn.Parameter(p.detach().float()) for p in parameters]
    optimiser = torch.optim.AdamW(exact, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    steps = schedule.epochs * math.ceil(size / schedule.batch_size)
    warmup = math.ceil(schedule.warmup_ratio * steps)
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    for _ in range(schedule.epochs):
        order: list[int] = torch.randperm(size, generator=generator).tolist()
        for start in range(0, size, schedule.batch_size):
            done = len(losses)
            cosine = 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(1, steps - warmup)))
            factor = (done + 1) / warmup if done < warmup else cosine
            optimiser.param_groups[0]["lr"] = schedule.learning_rate * factor
            for parameter in parameters:
                parameter.grad = None
            loss = objective(pick(order[start : start + schedule.batch_size]))
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, schedule.max_grad_norm)
            for parameter, value in zip(parameters, exact, strict=True):
                value.grad = None if parameter.grad is None else parameter.grad.float()
            optimiser.step()
            with torch.no_grad():
                for parameter, value in zip(parameters, exact, strict=True):
                    parameter.copy_(value)
            losses.append(float(loss.detach()))
    return losses


def base_stage(
    network: Any, rows: Sequence[Row], lora: Mapping[str, Any] | None, schedule: Schedule, seed: int, low: bool
) -> Any:
    """The base model: fine-tuned on all training rows, with LoRA (merged afterwards) or in full."""
    torch.manual_seed(seed)
    trained = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **lora)) if lora else network
    parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]
    objective = Objective("base", trained.train(), trained, {}, Precision(low))
    train(objective, parameters, len(rows), lambda items: {"retain": [rows[i] for i in items]}, schedule, seed)
    return (trained.merge_and_unload() if lora else trained).eval()


def unlearn(
    method: str,
    base: Any,
    parts: Mapping[str, Sequence[Row]],
    values: Mapping[str, Any],
    schedule: Schedule,
    seed: int,
    low: bool,
) -> tuple[Any, list[float]]:
    """The method's model (other weights, or the base model with PEFT's soft prompt in front) and the losses."""
    uses = {
        "ga": ("forget",),
        "rl": ("generic",),
        "ga-gd": ("forget", "retain"),
        "ga-kl": ("forget", "retain"),
        "npo-rt": ("forget", "retain"),
        "spul": ("generic", "retain"),
    }[method]
    forgotten = len(parts["forget"])
    size = forgotten + (len(parts["retain"]) if "retain" in uses else 0)

    def pick(items: list[int]) -> Step:
        forget = [i for i in items if i < forgotten]
        retain = [i - forgotten for i in items if i >= forgotten]
        return {name: [parts[name][i] for i in (retain if name == "retain" else forget)] for name in uses}

    network = copy.deepcopy(base)
    if method == "spul":
        network = with_soft_prompt(network.requires_grad_(False), values, seed)
    else:
        network.requires_grad_(True).train()
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    objective = Objective(method, network, base, values, Precision(low))
    losses = train(objective, parameters, size, pick, schedule, seed)
    return network.eval(), losses


def with_soft_prompt(network: Any, values: Mapping[str, Any], seed: int) -> Any:
    """PEFT's P-tuning (an embedding behind an MLP), or its prompt tuning from randomly chosen words."""
    generator = torch.Generator().manual_seed(seed)
    count, hidden = values["prompt_tokens"], values["mlp_hidden"]
    common = {
        "task_type": "CAUSAL_LM",
        "num_virtual_tokens": count,
        "token_dim": network.get_input_embeddings().weight.shape[1],
    }
    if values["reparametrise"]:
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        return get_peft_model(network, PromptEncoderConfig(**common, encoder_hidden_size=hidden))
    chosen = torch.randint(network.config.vocab_size, (count,), generator=generator)
    prompted = get_peft_model(network, PromptTuningConfig(**common))
    with torch.no_grad():
        prompted.prompt_encoder["default"].embedding.weight.copy_(network.get_input_embeddings().weight[chosen])
    return prompted


@dataclass(frozen=True)
class Scores:
    """Metrics of one split.

    Attributes:
        margins: how far the most probable token is above the next, at its closest, of each row.
    """

    accuracy: float
    f1: float
    predicted: list[str]
    log_probability: list[float]
    margins: list[float]


@torch.no_grad()
def evaluate(
    network: nn.Module, tokenizer: Any, examples: Sequence[tuple[str, str]], labels: Sequence[str], low: bool
) -> Scores:
    """What greedy decoding writes after each prompt: the right answer, another label, or anything else ("")."""
    precision = Precision(low)
    predicted, sums, margins = [], [], []
    for prompt, answer in examples:
        row = tokens(tokenizer, prompt, answer)
        sums.append(float(of_answer(log_probabilities(network, row, precision), row).sum()))
        candidates = [(answer, row), *((label, tokens(tokenizer, prompt, label)) for label in labels)]
        written, closest = greedy(network, row[0], max(len(ids) for _, (_, ids) in candidates), precision)
        right = [text for text, (_, ids) in candidates if written[: len(ids)] == ids]
        predicted.append(right[0] if right else "")
        margins.append(closest)
    answers = [answer for _, answer in examples]
    f1 = float(f1_score(answers, predicted, average="weighted", zero_division=0))
    return Scores(float(accuracy_score(answers, predicted)), f1, predicted, sums, margins)


def greedy(network: nn.Module, prompt: list[int], count: int, precision: Precision) -> tuple[list[int], float]:
    """The most probable token, again and again, and the smallest distance to the second most probable."""
    written: list[int] = []
    closest = math.inf
    for _ in range(count):
        with precision():
            logits = network(input_ids=torch.tensor([prompt + written])).logits[0, -1].float()
        best = logits.topk(2)
        written.append(int(best.indices[0]))
        closest = min(closest, float(best.values[0] - best.values[1]))
    return written, closest
