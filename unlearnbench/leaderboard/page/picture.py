"""One picture of a leaderboard: each task's plane of forget and retain accuracy, as SVG."""

from __future__ import annotations

import json
from collections.abc import Sequence

from unlearnbench.leaderboard.blocks import Block

SIDE = 250
# An image knows neither the page's colour nor its text's: this grey can be read on white and on black.
INK = "#808080"


def to_svg(blocks: Sequence[Block]) -> str:
    """A panel for each task: methods with their intervals, the base and the vanilla model, the Pareto front."""
    import altair
    import vl_convert

    from unlearnbench.leaderboard.page.charts import styled, trade_off_chart

    several = len({block.model for block in blocks}) > 1
    panels = [
        trade_off_chart(block, []).properties(
            width=SIDE, height=SIDE, title=f"{block.task}, {block.model}" if several else block.task
        )
        for block in blocks
    ]
    spec = styled(altair.hconcat(*panels))
    spec["config"]["title"] = {"color": INK, "fontWeight": "normal"}
    # Sizes are given, so nothing has to be fitted.
    spec.pop("autosize")
    return vl_convert.vegalite_to_svg(json.dumps(spec).replace("currentColor", INK))
