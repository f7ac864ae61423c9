"""Reference values of the base model, computed once per split and kept on disk.

So no method needs a second model in memory: the KL term reads one row of the full distribution per answer token
(float16, memory-mapped), NPO one number per example, a loss on hidden states one row per input token (float16).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearnbench.contract.batch import ReferenceKind
from unlearnbench.engine.encoded import Encoded
from unlearnbench.storage.cache import cached, content_hash

if TYPE_CHECKING:
    from unlearnbench.engine.model import LanguageModel


@dataclass(frozen=True)
class Reference:
    """Log-probabilities or hidden states of one split under the base model.

    Attributes:
        kind: "distribution": `values` is ``[tokens, vocab]`` float16, all answer tokens one after the other;
            "log_probability": `values` is ``[examples]`` float32;
            "hidden_states": `values` is ``[input tokens, hidden]`` float16.
        starts: ``[examples + 1]``, index of each example's first row in `values` (not for "log_probability").
    """

    kind: ReferenceKind
    values: NDArray[np.floating]
    starts: NDArray[np.int64]

    def rows(self, examples: Sequence[int], device: torch.device) -> Tensor:
        """The values of these examples in this order, in float32."""
        if self.kind == "log_probability":
            return torch.from_numpy(self.values[list(examples)].astype(np.float32)).to(device)
        return torch.from_numpy(np.asarray(self.values[_value_rows(self.starts, examples)])).to(device).float()


def reference(
    model: LanguageModel,
    encoded: Sequence[Encoded],
    kind: ReferenceKind,
    folder: Path,
    model_key: str,
    layer: int | None = None,
) -> Reference:
    """The reference values of a split, read from `folder` if they have been computed before.

    Args:
        model: has the base model's weights.
        model_key: identifies the model and everything else that determines what it computes.
        layer: the layer whose outputs "hidden_states" are.
    """
    identity: list[Any] = [model_key, [e.ids for e in encoded], [e.answer_start for e in encoded]]
    if kind == "hidden_states":
        identity.append(layer)
    entry = folder / f"{kind}-{content_hash(identity)}"
    counts = [len(example.ids) - 1 if kind == "hidden_states" else len(example.answer) for example in encoded]
    starts = np.cumsum([0, *counts])
    values = cached(
        entry,
        lambda folder: _compute(model, encoded, kind, layer, starts, folder / "values.npy"),
        lambda folder: np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False),
    )
    return Reference(kind, values, starts)


def _compute(
    model: LanguageModel,
    encoded: Sequence[Encoded],
    kind: ReferenceKind,
    layer: int | None,
    starts: NDArray[np.int64],
    file: Path,
) -> None:
    if kind == "log_probability":
        np.save(file, np.zeros(len(encoded), dtype=np.float32))
    else:
        width = model.vocabulary if kind == "distribution" else int(model.network.config.get_text_config().hidden_size)
        np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=(int(starts[-1]), width)).flush()
    _reserve(file)
    values = np.load(file, mmap_mode="r+", allow_pickle=False)
    if kind == "hidden_states":
        assert layer is not None
        for indices, states in model.hidden_states(encoded, layer):
            values[_value_rows(starts, indices)] = states.half().cpu().numpy()
        values.flush()
        return
    for indices, inputs, logits in model.predict(encoded):
        distribution = logits.float().log_softmax(-1)
        if kind == "log_probability":
            chosen = distribution.gather(-1, inputs.answers[:, None])[:, 0]
            sums = torch.zeros(len(indices), device=chosen.device).index_add(0, inputs.rows, chosen)
            values[indices] = sums.cpu().numpy()
        else:
            values[_value_rows(starts, indices)] = distribution.half().cpu().numpy()
    values.flush()


def _reserve(file: Path) -> None:
    """Allocates a file's space on the disk: writing to a memory map kills the process if the disk is full."""
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def _value_rows(starts: NDArray[np.int64], examples: Sequence[int]) -> NDArray[np.int64]:
    """Rows of `Reference.values` that belong to the examples, in their order."""
    return np.concatenate([np.arange(starts[i], starts[i + 1]) for i in examples] or [np.zeros(0, int)])
