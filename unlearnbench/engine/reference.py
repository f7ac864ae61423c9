"""The base model's log-probabilities, computed once per split and kept on disk.

No method ever needs a second model in memory: the KL term reads one row of the full distribution per answer token
(float16, memory-mapped), NPO one number per example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unlearnbench.batch import ReferenceKind
from unlearnbench.cache import cached, content_hash
from unlearnbench.engine.encoding import Encoded

if TYPE_CHECKING:
    from unlearnbench.engine.model import LanguageModel


@dataclass(frozen=True)
class Reference:
    """Log-probabilities of one split under the base model.

    Attributes:
        kind: "distribution": `values` is ``[tokens, vocab]`` float16, all answer tokens one after the other;
            "log_probability": `values` is ``[examples]`` float32.
        starts: ``[examples + 1]``, where each example's tokens begin in `values` (distribution only).
    """

    kind: ReferenceKind
    values: NDArray[np.floating]
    starts: NDArray[np.int64]

    def rows(self, examples: Sequence[int], device: torch.device) -> Tensor:
        """The values of some examples in their order: ``[tokens, vocab]`` or ``[examples]``, float32."""
        if self.kind == "log_probability":
            return torch.from_numpy(self.values[list(examples)].astype(np.float32)).to(device)
        index = np.concatenate([np.arange(self.starts[i], self.starts[i + 1]) for i in examples] or [np.zeros(0, int)])
        return torch.from_numpy(np.asarray(self.values[index])).to(device).float()


def reference(
    model: LanguageModel, encoded: Sequence[Encoded], kind: ReferenceKind, folder: Path, base_key: str
) -> Reference:
    """The reference of a split, from `folder` where it has been computed before.

    `model` must hold the base model's weights.
    """
    entry = folder / f"{kind}-{content_hash([base_key, [e.ids for e in encoded], [e.answer_start for e in encoded]])}"
    starts = np.cumsum([0, *(len(example.answer) for example in encoded)])
    values = cached(
        entry,
        lambda folder: _compute(model, encoded, kind, starts, folder / "values.npy"),
        lambda folder: np.load(folder / "values.npy", mmap_mode="r", allow_pickle=False),
    )
    return Reference(kind, values, starts)


def _compute(
    model: LanguageModel, encoded: Sequence[Encoded], kind: ReferenceKind, starts: NDArray[np.int64], file: Path
) -> None:
    if kind == "log_probability":
        np.save(file, np.zeros(len(encoded), dtype=np.float32))
    else:
        shape = (int(starts[-1]), model.vocabulary)
        np.lib.format.open_memmap(file, mode="w+", dtype=np.float16, shape=shape).flush()
    values = np.load(file, mmap_mode="r+", allow_pickle=False)
    for indices, inputs, logits in model.predict(encoded):
        distribution = logits.float().log_softmax(-1)
        if kind == "log_probability":
            chosen = distribution.gather(-1, inputs.answers[:, None])[:, 0]
            sums = torch.zeros(len(indices), device=chosen.device).index_add(0, inputs.rows, chosen)
            values[indices] = sums.cpu().numpy()
        else:
            index = np.concatenate([np.arange(starts[i], starts[i + 1]) for i in indices])
            values[index] = distribution.half().cpu().numpy()
    values.flush()
