"""Pictures of studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.leaderboard.entry import SPLITS
from unlearnbench.leaderboard.page.charts import PALETTE, SHAPES
from unlearnbench.studies.outcome import TRADE_OFF, PointResult
from unlearnbench.studies.points import Study

RETAIN, FORGET = "test_retain_accuracy", "test_forget_accuracy"


def draw(study: Study, found: Sequence[PointResult]) -> alt.TopLevelMixin:
    """The study's picture: heat maps over two numbers, curves over one, points over names."""
    ours = [line for line in found if not line.paper]
    if len(study.columns) == 2:
        return _heat_maps(study, [line for line in ours if line.row not in REFERENCE_ROWS])
    if study.name == "tuning":
        return _by_budget([line for line in ours if line.row not in REFERENCE_ROWS])
    if study.columns == ("model",):
        return _by_model(ours)
    return _curves(study, [line for line in ours if line.row not in REFERENCE_ROWS])


def _heat_maps(study: Study, found: Sequence[PointResult]) -> alt.TopLevelMixin:
    x, y = study.columns[::-1]
    return alt.hconcat(
        *(
            _heat_map(found, x, y, metric, title)
            for metric, title in ((RETAIN, "test retain accuracy, %"), (FORGET, "test forget accuracy, %"))
        )
    ).resolve_scale(color="independent")


def _heat_map(found: Sequence[PointResult], x: str, y: str, metric: str, title: str) -> alt.TopLevelMixin:
    values: list[dict[str, Any]] = [
        {**line.values, "value": 100 * line.mean[metric], "panel": _panel(line)} for line in found
    ]
    data = alt.Chart().encode(x=alt.X(f"{x}:O", axis=alt.Axis(labelAngle=0)), y=alt.Y(f"{y}:O", sort="descending"))
    squares = data.mark_rect().encode(
        color=alt.Color("value:Q", title="%", scale=alt.Scale(scheme="viridis", domain=[0, 100]))
    )
    numbers = data.mark_text().encode(
        text=alt.Text("value:Q", format=".1f"),
        color=alt.condition(alt.datum.value < 50, alt.value("white"), alt.value("black")),
    )
    layered = alt.layer(squares, numbers, data=alt.Data(values=values)).properties(width=220, height=160)
    return layered.facet(row=alt.Row("panel:N", title=None)).properties(title=title)


def _curves(study: Study, found: Sequence[PointResult]) -> alt.TopLevelMixin:
    (x,) = study.columns
    values = [
        {
            x: line.values[x],
            "split": split.replace("_", " "),
            "value": 100 * line.mean[f"{split}_accuracy"],
            "low": 100 * _reach(line, f"{split}_accuracy")[0],
            "high": 100 * _reach(line, f"{split}_accuracy")[1],
            "panel": _panel(line),
        }
        for line in found
        for split in SPLITS
    ]
    title = x.replace("_", " ")
    data = alt.Chart().encode(
        x=alt.X(f"{x}:Q", title=title, axis=alt.Axis(values=sorted({value[x] for value in values}), format=".3~g")),
        color=alt.Color("split:N", title=None, scale=alt.Scale(range=list(PALETTE))),
    )
    y = alt.Y("value:Q", title="accuracy, %", scale=alt.Scale(domain=[0, 100]))
    shape = alt.Shape("split:N", legend=None, scale=alt.Scale(range=list(SHAPES)))
    layered = alt.layer(
        data.mark_line().encode(y=y),
        data.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"),
        data.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=shape),
        data=alt.Data(values=values),
    ).properties(width=360, height=260)
    return layered.facet(facet=alt.Facet("panel:N", title=None), columns=2)


def _by_model(found: Sequence[PointResult]) -> alt.TopLevelMixin:
    values = [
        {
            "model": line.model,
            "row": line.title,
            "split": split.replace("_", " "),
            "value": 100 * line.mean[f"{split}_accuracy"],
            "task": line.task,
        }
        for line in found
        for split in ("test_retain", "test_forget")
    ]
    bars = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            x=alt.X("row:N", title=None, axis=alt.Axis(labelAngle=0)),
            xOffset=alt.XOffset("split:N", sort=["test retain", "test forget"]),
            y=alt.Y("value:Q", title="accuracy, %", scale=alt.Scale(domain=[0, 100])),
            color=alt.Color(
                "split:N", title=None, scale=alt.Scale(domain=["test retain", "test forget"], range=PALETTE)
            ),
        )
    )
    return bars.properties(width=alt.Step(24), height=220).facet(
        column=alt.Column("model:N", title=None), row=alt.Row("task:N", title=None)
    )


def _reach(line: PointResult, metric: str) -> tuple[float, float]:
    """The 95 % interval; on training splits, which have none, the standard deviation over seeds."""
    spread = line.spread.get(metric, 0.0)
    return line.intervals.get(metric, (line.mean[metric] - spread, line.mean[metric] + spread))


def _by_budget(found: Sequence[PointResult]) -> alt.TopLevelMixin:
    values = [
        {
            **line.values,
            "value": 100 * line.mean[TRADE_OFF],
            "low": 100 * (line.mean[TRADE_OFF] - line.spread.get(TRADE_OFF, 0)),
            "high": 100 * (line.mean[TRADE_OFF] + line.spread.get(TRADE_OFF, 0)),
            "panel": _panel(line),
        }
        for line in found
        if TRADE_OFF in line.mean
    ]
    offset = alt.XOffset("group:N")
    data = (
        alt.Chart()
        .transform_calculate(group="datum.design + ', ' + datum.scope")
        .encode(
            x=alt.X("trials:O", axis=alt.Axis(labelAngle=0)),
            xOffset=offset,
            color=alt.Color("group:N", title="design, scope", scale=alt.Scale(range=list(PALETTE))),
        )
    )
    y = alt.Y("value:Q", title="trade-off, %: mean ± standard deviation over seeds", scale=alt.Scale(domain=[0, 100]))
    layered = alt.layer(
        data.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"),
        data.mark_point(filled=True, size=60, opacity=1).encode(y=y, shape=alt.Shape("group:N", title="design, scope")),
        data=alt.Data(values=values),
    ).properties(width=260, height=220)
    return layered.facet(facet=alt.Facet("panel:N", title=None), columns=2)


def _panel(line: PointResult) -> str:
    return f"{line.title}, {line.task}, {line.model}"


def draw_embedding(points: Sequence[dict[str, Any]]) -> alt.TopLevelMixin:
    """t-SNE of the base and the unlearned model side by side: colour forget or retain, shape the label."""
    data = (
        alt.Chart(alt.Data(values=list(points)))
        .mark_point(filled=True, size=28, opacity=0.7)
        .encode(
            x=alt.X("x:Q", title=None, axis=None),
            y=alt.Y("y:Q", title=None, axis=None),
            color=alt.Color(
                "set:N", title=None, scale=alt.Scale(domain=["forget", "retain"], range=list(PALETTE[1::-1]))
            ),
            shape=alt.Shape("label:N", title=None),
        )
        .properties(width=340, height=340)
    )
    order = list(dict.fromkeys(point["panel"] for point in points))
    panels = data.facet(column=alt.Column("panel:N", title=None, sort=order))
    return panels.resolve_scale(x="independent", y="independent")
