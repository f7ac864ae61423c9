"""How many positions of a row a network supports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def positions(config: PreTrainedConfig) -> int | None:
    """Number of positions that mean the same in every row; None if there is no limit (ALiBi, state-space models).

    A table of learned positions ends there, and rotary positions were not trained beyond it. Rotary positions of kind
    "longrope" change their frequencies as soon as one row of a pass is longer than their original context, those of
    kind "dynamic" as soon as one is longer than the configured context; up to there a row does not depend on the other
    rows of its pass.
    """
    own: Any = config.get_text_config()
    limits = [getattr(own, "max_position_embeddings", None)]
    rope = getattr(own, "rope_parameters", None) or {}
    # Some models have other parameters for each kind of layer.
    for parameters in (rope, *(inner for inner in rope.values() if isinstance(inner, dict))):
        if parameters.get("rope_type") == "longrope":
            limits.append(parameters.get("original_max_position_embeddings"))
    return min((limit for limit in limits if limit), default=None)
