"""Turns examples into token ids and finds where the answer begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unlearnbench.contract.task import Example
from unlearnbench.engine.encoded import Encoded
from unlearnbench.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Text in any script has fewer, so that a prompt which is cut to this length still fills the context.
MOST_CHARACTERS_PER_TOKEN = 16


class Encoder:
    """Encodes prompts and answers as the tokenizer would encode the whole text; encodes each pair only once.

    The answer's tokens are those of "prompt answer" beyond the tokens it shares with "prompt" alone. This holds for
    tokenizers that put the space into the answer's first token (GPT-2, OPT), for those that mark word starts
    (LLaMA), with or without a leading BOS token, and for answers of several tokens. If the tokenizer appends an EOS
    token, it is not part of the answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, context_length: int) -> None:
        self.tokenizer = tokenizer
        self.context_length = context_length
        self._known: dict[tuple[str, str], Encoded] = {}

    @property
    def pad(self) -> int:
        """A token id for padding; padding is always masked."""
        known = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return next(int(token) for token in known if token is not None)

    def encode(
        self, examples: Sequence[Example], answers: Sequence[str] | None = None, room: int | None = None
    ) -> list[Encoded]:
        """Encodes each example with its own answer, or with the one of `answers`.

        If a prompt is too long for the context, the middle of its text is left out: the beginning, and the instruction
        at the end, stay. The middle of a very long prompt is left out before tokenisation, since tokenising megabytes
        may take hours.

        Args:
            room: maximum number of tokens in a row, if the model allows fewer than the context length.

        Raises:
            UserError: an answer has no tokens, or leaves no token of the context for the prompt.
        """
        answers = [example.answer for example in examples] if answers is None else answers
        pairs = [(example.prompt, answer) for example, answer in zip(examples, answers, strict=True)]
        new = list(dict.fromkeys(pair for pair in pairs if pair not in self._known))
        self._known.update(zip(new, self._tokenise(new), strict=True))
        rows = [self._known[pair] for pair in pairs]
        return rows if room is None else [row.within(room) for row in rows]

    def _tokenise(self, pairs: Sequence[tuple[str, str]]) -> list[Encoded]:
        limit = MOST_CHARACTERS_PER_TOKEN * self.context_length
        for _, answer in pairs:
            if len(answer) > limit:
                raise UserError(
                    f"the answer {answer[:40]!r}... has {len(answer)} characters and does not fit into a context of "
                    f"{self.context_length} tokens: shorten it."
                )
        heads = [_without_middle(prompt, limit) for prompt, _ in pairs]
        prompts = self._ids(heads)
        wholes = self._ids([f"{head} {answer}" for head, (_, answer) in zip(heads, pairs, strict=True)])
        return [
            self._split(prompt, whole, answer)
            for prompt, whole, (_, answer) in zip(prompts, wholes, pairs, strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of answer tokens, without surrounding white space."""
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        encoded: list[list[int]] = self.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
        end = self.tokenizer.eos_token_id
        adds_end = (
            len(encoded[0]) > 1 and encoded[0][-1] == end and not texts[0].endswith(str(self.tokenizer.eos_token))
        )
        return [ids[:-1] for ids in encoded] if adds_end else encoded

    def _split(self, prompt: list[int], whole: list[int], answer: str) -> Encoded:
        start = 0
        while start < min(len(prompt), len(whole)) and prompt[start] == whole[start]:
            start += 1
        room = self.context_length - (len(whole) - start)
        if start == len(whole) or start == 0:
            raise UserError(f"the answer {answer!r} has no tokens of its own after its prompt: write it differently.")
        if room < 1:
            raise UserError(
                f"the answer {answer[:40]!r}... has {len(whole) - start} tokens and does not fit into a context of "
                f"{self.context_length}: raise model.context_length or shorten it."
            )
        if start > room:
            head = room // 2
            whole = whole[:head] + whole[start - (room - head) :]
            start = room
        return Encoded(tuple(whole), start)


def _without_middle(prompt: str, limit: int) -> str:
    """The prompt, cut to its first and last characters if it has more than `limit`."""
    return prompt if len(prompt) <= limit else prompt[: limit // 2] + prompt[-(limit // 2) :]
