"""Base of what a leaderboard file is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Base of all parts of a leaderboard file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
