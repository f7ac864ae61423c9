"""How many tokens of a row a network can tell apart by their positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def positions(config: PreTrainedConfig) -> int | None:
    """The number of positions that mean the same in every row; None for any number (ALiBi, state-space models).

    A table of learned positions ends there, and rotary positions were trained no further. Those of kind "longrope"
    turn at another pace as soon as one row of a pass is longer than their original context, those of kind "dynamic"
    beyond the configured one; up to there a row does not depend on its neighbours.
    """
    own: Any = config.get_text_config()
    limits = [getattr(own, "max_position_embeddings", None)]
    rope = getattr(own, "rope_parameters", None) or {}
    # Some models have other parameters for each kind of layer.
    for parameters in (rope, *(inner for inner in rope.values() if isinstance(inner, dict))):
        if parameters.get("rope_type") == "longrope":
            limits.append(parameters.get("original_max_position_embeddings"))
    return min((limit for limit in limits if limit), default=None)
