"""The training loops."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from pretraining.tokens import RANDOM, TEXT, Row

INDUCTION_RATE, ANSWERS_RATE = 2e-3, 1e-3
INDUCTION_ROWS, INDUCTION_LENGTH = 32, 100
ANSWERS_ROWS = 40
WARMUP = 50
TEXT_WEIGHT = 0.2
REPORT_EVERY = 50


def learn_induction(model: LlamaForCausalLM, generator: torch.Generator, steps: int) -> None:
    """Repeats of random tokens, until attention heads that look up what followed before have formed.

    Raises:
        SystemExit: they have not.
    """
    optimiser, schedule = _optimiser(model, INDUCTION_RATE, steps, decay=0.25)
    for step in range(1, steps + 1):
        length = int(torch.randint(8, 41, (1,), generator=generator))
        once = torch.randint(model.config.vocab_size, (INDUCTION_ROWS, length), generator=generator)
        ids = once.repeat(1, 3)[:, :INDUCTION_LENGTH]
        logits = model(input_ids=ids).logits[:, length - 1 : -1]
        loss = cross_entropy(logits.flatten(0, 1), ids[:, length:].flatten())
        _descend(model, optimiser, schedule, loss)
        if step % REPORT_EVERY == 0:
            print(f"induction, step {step} of {steps}: loss {loss.item():.3f}", flush=True)
    if loss.item() > 1:
        raise SystemExit(f"induction heads did not form in {steps} steps: try another --seed")


def learn_answers(
    model: LlamaForCausalLM,
    stage: str,
    generator: random.Random,
    draw: Callable[[random.Random], Row],
    steps: int,
    enough: float | None = None,
) -> None:
    """Cross-entropy of the answers in drawn sequences, plus a little of real text's.

    Args:
        steps: at most.
        enough: share of every kind of answer that must be right; training stops there, at a constant rate.

    Raises:
        SystemExit: `enough` was not reached in `steps`.
    """
    optimiser, schedule = _optimiser(model, ANSWERS_RATE, steps, decay=0.5 if enough is None else 0.0)
    right: dict[str, list[bool]] = defaultdict(list)
    for step in range(1, steps + 1):
        rows = [draw(generator) for _ in range(ANSWERS_ROWS)]
        names = [TEXT, RANDOM, *sorted({kind for row in rows for _, kind in row} - {TEXT, RANDOM})]
        ids = _padded([[token for token, _ in row] for row in rows], model.config.pad_token_id)
        kinds = _padded([[names.index(kind) for _, kind in row] for row in rows], names.index(RANDOM))[:, 1:]
        logits = model(input_ids=ids, attention_mask=(ids != model.config.pad_token_id).long()).logits[:, :-1]
        targets = ids[:, 1:]
        losses = cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
        is_text, is_answer = kinds == names.index(TEXT), kinds > names.index(RANDOM)
        loss = losses[is_answer].mean()
        if is_text.any():
            loss = loss + TEXT_WEIGHT * losses[is_text].mean()
        _descend(model, optimiser, schedule, loss)
        hits = (logits.argmax(-1) == targets)[is_answer].tolist()
        for kind, hit in zip(kinds[is_answer].tolist(), hits, strict=True):
            right[names[kind]].append(hit)
        if step % REPORT_EVERY == 0:
            shares = {name: sum(hits) / len(hits) for name, hits in sorted(right.items())}
            shown = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            print(f"{stage}, step {step} of {steps}: loss {loss.item():.3f}; right: {shown}", flush=True)
            right.clear()
            if enough is not None and min(shares.values()) >= enough:
                return
    if enough is not None:
        raise SystemExit(f"stage {stage} was not learnt in {steps} steps: try another --seed")


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=value)


def _optimiser(
    model: LlamaForCausalLM, rate: float, steps: int, decay: float
) -> tuple[torch.optim.AdamW, torch.optim.lr_scheduler.LambdaLR]:
    """AdamW; the rate rises over the first steps, and falls to zero over the last share `decay` of them."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98))

    def factor(step: int) -> float:
        falling = (steps - step) / (decay * steps) if decay else 1.0
        return min((step + 1) / WARMUP, 1.0, falling)

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _descend(
    model: LlamaForCausalLM,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    loss: Tensor,
) -> None:
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    schedule.step()
