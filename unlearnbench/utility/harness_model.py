"""A model of this package as lm-evaluation-harness asks it: one soft prompt in front of every request."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from torch import Tensor
from transformers import PreTrainedTokenizerBase, StoppingCriteria

from unlearnbench.cell.evaluation import answer_argmax
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.writing import continuations
from unlearnbench.errors import UserError

# Of models without a longest input, as lm-evaluation-harness takes it.
MOST_TOKENS = 2048
# Settings of generation that change nothing in greedy decoding.
GREEDY = {"until", "max_gen_toks", "do_sample", "temperature", "top_p", "top_k"}


class HarnessModel(TemplateLM):  # type: ignore[misc]
    """Answers as `lm_eval.models.huggingface.HFLM` does for the same weights.

    Texts are tokenised as the tokenizer does by itself, and cut on the left to what the model can read behind its soft
    prompt. The soft prompt stands in front of all tokens, the one that begins a text included.
    """

    backend = "causal"

    def __init__(self, model: LanguageModel, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        self.model = model
        self.tokenizer = tokenizer

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What stands for an empty context."""
        begin = self.tokenizer.bos_token_id
        return self.eot_token_id if begin is None else int(begin)

    @property
    def max_length(self) -> int:
        """The longest input behind the soft prompt, in tokens."""
        return self.model.room() or MOST_TOKENS

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """The tokens of a text; one that begins a text is not put in front of it twice."""
        begun = string.startswith(str(self.tokenizer.decode([self.prefix_token_id])))
        special = not begun if add_special_tokens is None else add_special_tokens
        ids: list[int] = self.tokenizer.encode(string, add_special_tokens=special)
        return ids

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether greedy decoding writes it, without a progress bar."""
        found: list[tuple[float, bool]] = super().loglikelihood(requests, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[object, list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, and whether greedy decoding writes it.

        Args:
            requests: texts (not used), tokens of the context, and tokens of the continuation.
        """
        rows = [self._row(context, continuation) for _, context, continuation in requests]
        best, log_likelihoods = answer_argmax(self.model, rows)
        pairs = zip(log_likelihoods, best, rows, strict=True)
        return [(log_likelihood, tokens == row.answer) for log_likelihood, tokens, row in pairs]

    def _row(self, context: list[int], continuation: list[int]) -> Encoded:
        """The last tokens that fit: as many as the model reads, and the last one, which it only predicts."""
        if len(continuation) > self.max_length:
            raise UserError(
                f"a continuation of {len(continuation)} tokens does not fit into the {self.max_length} that the model "
                "can read: choose another lm-eval task."
            )
        ids = (context + continuation)[-(self.max_length + 1) :]
        return Encoded(tuple(ids), len(ids) - len(continuation))

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of whole texts, window by window, each token predicted once."""
        windows, owners = [], []
        for number, request in enumerate(requests):
            tokens = self.tok_encode(request.args[0])
            for window in get_rolling_token_windows(tokens, self.prefix_token_id, self.max_length, 1):
                windows.append((None, *make_disjoint_window(window)))
                owners.append(number)
        totals = [0.0] * len(requests)
        for owner, (log_likelihood, _) in zip(owners, self._loglikelihood_tokens(windows), strict=True):
            totals[owner] += log_likelihood
        return totals

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Greedy continuations up to a stop sequence.

        Raises:
            UserError: a task samples, or asks for more tokens than the model can read.
        """
        written = [""] * len(requests)
        order = sorted(range(len(requests)), key=lambda number: repr(requests[number].args[1]))
        for _, numbers in groupby(order, key=lambda number: repr(requests[number].args[1])):
            alike = list(numbers)
            texts = self._written([requests[number].args[0] for number in alike], requests[alike[0]].args[1])
            for number, text in zip(alike, texts, strict=True):
                written[number] = text
        return written

    def _written(self, contexts: Sequence[str], settings: dict[str, Any]) -> list[str]:
        given = normalize_gen_kwargs(settings, 256)
        odd = {name for name, value in given.items() if name not in GREEDY and value not in (None, False, 1)}
        if given.get("do_sample") or odd:
            asked = f"with {', '.join(sorted(odd))}" if odd else "by sampling"
            raise UserError(f"an lm-eval task wants texts written {asked}; only greedy ones are: choose another task.")
        limit = given["max_gen_toks"]
        if limit >= self.max_length:
            raise UserError(
                f"an lm-eval task wants {limit} tokens written, but the model can read {self.max_length}: choose "
                "another task, or give it a smaller max_gen_toks."
            )
        ends = handle_stop_sequences(given.get("until"), self.tokenizer.decode([self.eot_token_id]))
        prompts = [self.tok_encode(context)[limit - self.max_length :] for context in contexts]
        tokens = continuations(self.model, prompts, [limit] * len(prompts), _Until(self.tokenizer, ends))
        texts = [str(self.tokenizer.decode(list(row), skip_special_tokens=True)) for row in tokens]
        return [postprocess_generated_text(text, ends, None) for text in texts]


class _Until(StoppingCriteria):  # type: ignore[misc]
    """Whether the end of a text holds a stop sequence."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, ends: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.ends = [end for end in ends if end]
        # A token has at least one character, but for a few parts of characters.
        self.tail = max(map(len, self.ends), default=1) + 2

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        texts = self.tokenizer.batch_decode(input_ids[:, -self.tail :])
        done = [any(end in text for end in self.ends) for text in texts]
        return torch.tensor(done, device=input_ids.device)
