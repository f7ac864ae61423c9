"""Base of what a leaderboard file is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of all objects in a leaderboard file: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
