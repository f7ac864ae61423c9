"""A row as token ids."""

from __future__ import annotations

from dataclasses import dataclass

from unlearnbench.errors import UserError


@dataclass(frozen=True)
class Encoded:
    """A prompt and one answer as token ids.

    Attributes:
        ids: prompt and answer.
        answer_start: position in `ids` of the answer's first token; the token before it predicts it.
    """

    ids: tuple[int, ...]
    answer_start: int

    @property
    def answer(self) -> tuple[int, ...]:
        """The answer's token ids."""
        return self.ids[self.answer_start :]

    def within(self, room: int) -> Encoded:
        """Shortens the row to at most `room` tokens by leaving out the middle of the prompt.

        Raises:
            UserError: the answer leaves no token for the prompt.
        """
        answer = len(self.ids) - self.answer_start
        if len(self.ids) <= room:
            return self
        if answer >= room:
            raise UserError(f"an answer of {answer} tokens does not fit into a context of {room}: shorten it.")
        head, tail = (room - answer) // 2, room - answer - (room - answer) // 2
        return Encoded(self.ids[:head] + self.ids[self.answer_start - tail :], room - answer)
