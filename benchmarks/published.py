"""The published ways of computing a step, written from their description.

SPUL and GA+KL after the SPUL paper's implementation: the prompt encoder's output in front of every row, logits of every
position, cross-entropy over all positions, base logits fetched row by row. NPO+RT and gradient difference in the common
way: logits of whole sequences, from the model and from a live copy of the base model.

Where that implementation's KL term departs from the paper's equation 4 (direction and position), equation 4 is
computed, so that both sides have the same loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from peft import PeftModel, PromptEncoderConfig, get_peft_model
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, logsigmoid
from transformers import PreTrainedModel

from unlearnbench.engine.encoded import Encoded

IGNORED = -100


@dataclass(frozen=True)
class Rows:
    """Padded rows with labels on answer tokens only, as a Hugging Face trainer feeds them.

    Attributes:
        ids, mask, labels: ``[batch, length]``.
        indices: index of each row in the data set.
    """

    ids: Tensor
    mask: Tensor
    labels: Tensor
    indices: list[int]


def pad_rows(examples: Sequence[Encoded], device: str = "cpu") -> Rows:
    """All rows padded on the right to the longest, on a device."""
    length = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), length, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        mask[row, : len(example.ids)] = 1
        labels[row, example.answer_start : len(example.ids)] = torch.tensor(example.answer)
    return Rows(ids.to(device), mask.to(device), labels.to(device), list(range(len(examples))))


def prompted(network: PreTrainedModel, tokens: int) -> PeftModel:
    """PEFT's P-tuning model around a frozen network: the prompt is repeated in front of every row."""
    config = PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=tokens, encoder_hidden_size=128)
    return get_peft_model(network, config).eval()


def _all_position_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """``[batch, length - 1]`` cross-entropy at every position, zero where the label is ignored."""
    shifted = logits[:, :-1].float()
    losses = cross_entropy(
        shifted.reshape(-1, shifted.shape[-1]), labels[:, 1:].reshape(-1), reduction="none", ignore_index=IGNORED
    )
    return losses.view(len(labels), -1)


def _mean_answer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    return _all_position_loss(logits, labels).sum() / (labels[:, 1:] != IGNORED).sum()


def _kl_row_by_row(logits: Tensor, rows: Rows, base_logits: dict[int, Tensor]) -> Tensor:
    """KL(model || base) at the answer tokens, the base's logits looked up for one row after the other."""
    predicting = rows.labels[:, 1:] != IGNORED
    reference = torch.cat([base_logits[index] for index in rows.indices])
    model = logits[:, :-1][predicting].float().log_softmax(-1)
    return kl_div(reference.float().log_softmax(-1), model, log_target=True, reduction="batchmean")


def base_logits_by_row(network: PreTrainedModel, rows: Rows) -> dict[int, Tensor]:
    """Full-vocabulary logits of the answer positions, kept as one tensor per row."""
    with torch.no_grad():
        logits = network(input_ids=rows.ids, attention_mask=rows.mask).logits
    predicting = rows.labels[:, 1:] != IGNORED
    return {index: logits[i, :-1][predicting[i]] for i, index in enumerate(rows.indices)}


def spul_step(
    model: PeftModel, forget: Rows, retain: Rows, base_logits: dict[int, Tensor], alpha: float, beta: float
) -> Tensor:
    """CE(F, generic) + alpha CE(R) + beta KL on R, one forward pass over the mixed batch."""
    ids, mask, labels = _stacked(forget, retain)
    logits = model(input_ids=ids, attention_mask=mask).logits[:, -ids.shape[1] :]
    here = len(forget.ids)
    kl = _kl_row_by_row(logits[here:], Rows(*_tail(here, ids, mask, labels), retain.indices), base_logits)
    return (
        _mean_answer_loss(logits[:here], labels[:here])
        + alpha * _mean_answer_loss(logits[here:], labels[here:])
        + beta * kl
    )


def ga_kl_step(network: PreTrainedModel, forget: Rows, retain: Rows, base_logits: dict[int, Tensor]) -> Tensor:
    """-CE(F) + KL on R, one forward pass over the mixed batch."""
    ids, mask, labels = _stacked(forget, retain)
    logits = network(input_ids=ids, attention_mask=mask).logits
    here = len(forget.ids)
    kl = _kl_row_by_row(logits[here:], Rows(*_tail(here, ids, mask, labels), retain.indices), base_logits)
    return -_mean_answer_loss(logits[:here], labels[:here]) + kl


def npo_rt_step(
    network: PreTrainedModel, reference: PreTrainedModel, forget: Rows, retain: Rows, beta: float
) -> Tensor:
    """NPO with a live reference model, plus the retain loss; a forward pass each."""
    model_loss = _all_position_loss(network(input_ids=forget.ids, attention_mask=forget.mask).logits, forget.labels)
    with torch.no_grad():
        base = reference(input_ids=forget.ids, attention_mask=forget.mask).logits
        base_loss = _all_position_loss(base, forget.labels)
    ratio = base_loss.sum(1) - model_loss.sum(1)
    retained = network(input_ids=retain.ids, attention_mask=retain.mask).logits
    return -2 / beta * logsigmoid(-beta * ratio).mean() + _mean_answer_loss(retained, retain.labels)


def gradient_difference_step(network: PreTrainedModel, forget: Rows, retain: Rows) -> Tensor:
    """-CE(F) + CE(R); a forward pass each."""
    forgotten = network(input_ids=forget.ids, attention_mask=forget.mask).logits
    retained = network(input_ids=retain.ids, attention_mask=retain.mask).logits
    return -_mean_answer_loss(forgotten, forget.labels) + _mean_answer_loss(retained, retain.labels)


def fine_tuning_step(network: PreTrainedModel, rows: Rows) -> Tensor:
    """Cross-entropy of the answers, as a Hugging Face trainer fine-tunes."""
    return _mean_answer_loss(network(input_ids=rows.ids, attention_mask=rows.mask).logits, rows.labels)


@torch.no_grad()
def evaluate(model: torch.nn.Module, batches: Sequence[Rows], offset: int) -> list[int]:
    """Argmax at the answer positions from logits of every position; batches as they come, unsorted."""
    found: list[int] = []
    for rows in batches:
        logits = model(input_ids=rows.ids, attention_mask=rows.mask).logits[:, offset:]
        found += logits[:, :-1][rows.labels[:, 1:] != IGNORED].argmax(-1).tolist()
    return found


def _stacked(forget: Rows, retain: Rows) -> tuple[Tensor, Tensor, Tensor]:
    length = max(forget.ids.shape[1], retain.ids.shape[1])

    def widen(tensor: Tensor, fill: int) -> Tensor:
        return torch.nn.functional.pad(tensor, (0, length - tensor.shape[1]), value=fill)

    return (
        torch.cat([widen(forget.ids, 0), widen(retain.ids, 0)]),
        torch.cat([widen(forget.mask, 0), widen(retain.mask, 0)]),
        torch.cat([widen(forget.labels, IGNORED), widen(retain.labels, IGNORED)]),
    )


def _tail(start: int, *tensors: Tensor) -> list[Tensor]:
    return [tensor[start:] for tensor in tensors]
