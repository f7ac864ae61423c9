"""The charts of a leaderboard page, as Vega-Lite specifications."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import altair as alt

from unlearnbench.contract.rows import BASE, RETRAIN, VANILLA
from unlearnbench.identity.ids import ZERO
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.columns import count, gibibytes, number, seconds
from unlearnbench.leaderboard.entry import CurvePointEntry
from unlearnbench.leaderboard.footing import forget_score, fronts_of
from unlearnbench.leaderboard.front import Front
from unlearnbench.leaderboard.overall import Overall
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.statistics import interval

# Okabe and Ito's palette without black and yellow, which vanish on a dark or a white page.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
ANCHOR_COLOUR = "#888888"
STEP = 22
FRONT_STEP = 2
RETAIN, FORGET = "test_retain_accuracy", "test_forget_accuracy"
OUTCOMES = {
    "correct": ("right", "#D55E00"),
    "generic": ("a generic label", "#009E73"),
    "other_label": ("another label", "#56B4E9"),
    "anything_else": ("anything else", "#888888"),
}
Spec = dict[str, Any]


def charts(block: Block, with_paper: bool) -> dict[str, Spec]:
    """The block's charts by name."""
    trained, peak = "trainable_parameters", "training_peak_memory_bytes"
    made = {
        "trade-off": trade_off_chart(block, paper_lines(block.task) if with_paper else []),
        "fronts": fronts_chart(block),
        "curves": curves_chart(block),
        "tuning": tuning_chart(block),
        "forgotten": forgotten_chart(block),
        "seconds": cost_chart(block, "seconds of tuning and training", _seconds, seconds),
        "parameters": cost_chart(block, "trained parameters", lambda line: line.mean.get(trained), count),
        "memory": cost_chart(block, "peak memory of training, GiB", lambda line: line.mean.get(peak), gibibytes),
    }
    return {name: styled(chart) for name, chart in made.items() if chart is not None}


def trade_off_chart(block: Block, published: Sequence[Line]) -> alt.TopLevelMixin:
    """Test forget against test retain accuracy: methods with intervals, anchors, Pareto front, published points.

    The legend names the points: labels beside them would cover each other where methods do equally well.
    """
    ours = [_point(line, line.title) for line in block.lines if RETAIN in line.mean]
    paper = [{**_point(line, line.title), "kind": "paper"} for line in published]
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("retain:Q", title="test retain accuracy, % (higher is better)", scale=scale)
    y = alt.Y("forget:Q", title="test forget accuracy, % (lower is better)", scale=scale)
    colour, shape = _colour(block), _shape(block)
    tooltip = ["title:N", "retain:Q", "forget:Q"]
    known = alt.Chart(alt.Data(values=ours))
    layers: list[alt.Chart] = [
        *_target(block, y),
        alt.Chart(alt.Data(values=[_point(line, "") for line in pareto_front(block.lines)]))
        .mark_line(color=ANCHOR_COLOUR, strokeDash=[4, 4])
        .encode(x=x, y=y, order="retain:Q"),
        known.mark_rule().encode(x="retain_low:Q", x2="retain_high:Q", y=y, color=colour),
        known.mark_rule().encode(x=x, y="forget_low:Q", y2="forget_high:Q", color=colour),
        known.mark_point(filled=True, size=90, opacity=1).encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip),
    ]
    if paper:
        hollow = alt.Chart(alt.Data(values=paper)).mark_point(filled=False, size=60, opacity=0.9)
        layers.append(hollow.encode(x=x, y=y, color=colour, shape=shape, tooltip=tooltip))
    return alt.layer(*layers).properties(width="container", height=340)


def _target(block: Block, y: alt.Y) -> list[alt.Chart]:
    """A line at the forget accuracy that counts as forgotten, if it is known."""
    yardstick = block.yardstick
    if yardstick.target != ZERO and not yardstick.compared:
        return []
    level = 0.0 if yardstick.target == ZERO else yardstick.mean_level
    text = f"target {yardstick.target}: {number(100 * level)} %"
    known = alt.Chart(alt.Data(values=[{"forget": round(100 * level, 2), "text": text}]))
    return [known.mark_rule(color=ANCHOR_COLOUR, strokeDash=[1, 3], strokeWidth=2).encode(y=y, tooltip="text:N")]


def pareto_front(lines: Sequence[Line]) -> list[Line]:
    """Methods that no other beats in one accuracy without losing in the other, by retain accuracy."""
    methods = [line for line in lines if line.competes and RETAIN in line.mean]
    front = [line for line in methods if not any(_dominates(other, line) for other in methods)]
    return sorted(front, key=lambda line: line.mean[RETAIN])


def _dominates(other: Line, line: Line) -> bool:
    as_good = other.mean[RETAIN] >= line.mean[RETAIN] and other.mean[FORGET] <= line.mean[FORGET]
    return as_good and (other.mean[RETAIN], other.mean[FORGET]) != (line.mean[RETAIN], line.mean[FORGET])


def _point(line: Line, title: str) -> dict[str, Any]:
    point: dict[str, Any] = {"row": line.row, "title": title, "kind": "ours"}
    for name, metric in (("retain", RETAIN), ("forget", FORGET)):
        point[name] = round(100 * line.mean[metric], 2)
        low, high = line.intervals.get(metric, (line.mean[metric], line.mean[metric]))
        point |= {f"{name}_low": 100 * low, f"{name}_high": 100 * high}
    return point


def tuning_chart(block: Block) -> alt.TopLevelMixin | None:
    """Each trial's objective and the best so far, by method and seed."""
    points = []
    for line in block.lines:
        for entry in line.entries:
            best = 0.0
            for order, trial in enumerate(entry.trials, start=1):
                best = max(best, trial.objective or 0.0)
                values = ", ".join(f"{name} = {value}" for name, value in trial.values.items())
                points.append(
                    {
                        "row": line.row, "title": line.title, "seed": str(entry.seed), "trial": order,
                        "objective": trial.objective, "best": best, "values": values, "pruned": trial.pruned or "no",
                    }
                )  # fmt: skip
    if not points:
        return None
    known = alt.Chart(alt.Data(values=points))
    x = alt.X("trial:O", title="trial", axis=alt.Axis(labelAngle=0))
    scale = alt.Scale(domain=[0, 1])
    lines = known.mark_line(interpolate="step-after").encode(
        x=x,
        y=alt.Y("best:Q", title="objective on training splits; line: best so far", scale=scale),
        color=_colour(block),
        detail="seed:N",
    )
    trials = known.mark_point(filled=True, size=50, opacity=0.8).encode(
        x=x,
        y=alt.Y("objective:Q", scale=scale),
        color=_colour(block),
        shape=_shape(block),
        tooltip=["title:N", "seed:N", "trial:O", "values:N", "objective:Q", "pruned:N"],
    )
    return alt.layer(lines, trials).properties(width="container", height=260)


def curves_chart(block: Block) -> alt.TopLevelMixin | None:
    """Each method's way through the plane of accuracies on training examples, from the base model to the end."""
    points = [
        {
            "row": line.row, "title": line.title, "seeds": len(curves), "trained": 100 * share,
            "retain": round(100 * retain, 2), "forget": round(100 * forget, 2), "end": share == 1,
        }
        for line in block.lines
        if (curves := best_curves(line))
        for share, forget, retain in mean_curve(curves)
    ]  # fmt: skip
    if not points:
        return None
    known = alt.Chart(alt.Data(values=points))
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("retain:Q", title="train retain accuracy, % (higher is better)", scale=scale)
    y = alt.Y("forget:Q", title="train forget accuracy, % (lower is better)", scale=scale)
    trained = alt.Tooltip("trained:Q", title="of the training, %", format=".0f")
    tooltip = ["title:N", trained, "retain:Q", "forget:Q", "seeds:Q"]
    size = alt.Size("end:N", scale=alt.Scale(domain=[False, True], range=[20, 110]), legend=None)
    return alt.layer(
        known.mark_line(opacity=0.8).encode(x=x, y=y, color=_colour(block), order="trained:Q"),
        known.mark_point(filled=True, opacity=1).encode(
            x=x, y=y, color=_colour(block), shape=_shape(block), size=size, tooltip=tooltip
        ),
    ).properties(width="container", height=340)


def fronts_chart(block: Block) -> alt.TopLevelMixin | None:
    """Each method's forget accuracy at every level of retention, mean over seeds with its 95 % interval."""
    points = [
        {"row": line.row, "title": line.title, "seeds": len(fronts), "retain": percent, **_at(fronts, percent)}
        for line in block.lines
        if (fronts := fronts_of(line.entries, block.yardstick))
        for percent in range(FRONT_STEP, 101, FRONT_STEP)
    ]
    if not points:
        return None
    known = alt.Chart(alt.Data(values=points))
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("retain:Q", title="test retain accuracy kept, % of base (higher is better)", scale=scale)
    title = "test forget accuracy, % (lower is better)"
    y = alt.Y("forget:Q", title=title, scale=scale)
    tooltip = ["title:N", "retain:Q", "forget:Q", "low:Q", "high:Q", alt.Tooltip("reached:Q", format=".0f"), "seeds:Q"]
    fronts_alone = alt.layer(
        known.mark_area(opacity=0.15, interpolate="step-before").encode(
            x=x, y=alt.Y("low:Q", title=title, scale=scale), y2="high:Q", color=_colour(block)
        ),
        known.mark_line(interpolate="step-before").encode(x=x, y=y, color=_colour(block)),
        known.mark_point(filled=True, size=12, opacity=0).encode(x=x, y=y, tooltip=tooltip),
    )
    return alt.layer(*_target(block, y), fronts_alone).properties(width="container", height=340)


def _at(fronts: Sequence[Front], percent: int) -> dict[str, float]:
    score = forget_score(fronts, percent / 100)
    low, high = interval(score)
    reached = fmean(front.at(percent / 100).reached for front in fronts)
    shares = {"forget": score.mean, "low": low, "high": high, "reached": reached}
    return {name: round(100 * share, 2) for name, share in shares.items()}


Curve = Sequence[CurvePointEntry]


def best_curves(line: Line) -> list[Curve]:
    """The curves of the best trials, one for each seed that has one; of the most frequent length, to be averaged."""
    best = [entry.best_trial for entry in line.entries]
    curves = [trial.curve for trial in best if trial is not None and trial.curve]
    lengths = [len(curve) for curve in curves]
    return [curve for curve in curves if len(curve) == max(lengths, key=lengths.count)]


def mean_curve(curves: Sequence[Curve]) -> list[tuple[float, float, float]]:
    """Share of the training, and forget and retain accuracy averaged over curves of one length."""
    return [
        (
            points[0].step / curves[0][-1].step,
            fmean(point.forget_accuracy for point in points),
            fmean(point.retain_accuracy for point in points),
        )
        for points in zip(*curves, strict=True)
    ]


def forgotten_chart(block: Block) -> alt.TopLevelMixin | None:
    """What the test forget examples were answered with, as shares."""
    shares = [
        {"title": line.title, "order": order, "answer": label, "share": 100 * line.mean[f"test_forget_{outcome}"]}
        for line in block.lines
        for order, (outcome, (label, _)) in enumerate(OUTCOMES.items())
        if f"test_forget_{outcome}" in line.mean
    ]
    if not shares:
        return None
    return (
        alt.Chart(alt.Data(values=shares))
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="test forget examples, %", scale=alt.Scale(domain=[0, 100], nice=False)),
            y=alt.Y("title:N", title=None, sort=[line.title for line in block.lines]),
            order="order:Q",
            color=alt.Color(
                "answer:N",
                title="answered with",
                scale=alt.Scale(
                    domain=[label for label, _ in OUTCOMES.values()], range=[colour for _, colour in OUTCOMES.values()]
                ),
            ),
            tooltip=["title:N", "answer:N", alt.Tooltip("share:Q", format=".2f")],
        )
        .properties(width="container", height=STEP * len(block.lines))
    )


def _seconds(line: Line) -> float | None:
    values = [line.mean.get(f"{stage}_wall_seconds") for stage in ("tuning", "training")]
    return None if None in values else sum(value for value in values if value is not None)


def cost_chart(block: Block, title: str, value: Any, write: Any) -> alt.TopLevelMixin | None:
    """Bars of one cost, for methods only, with the value written at the bar's end."""
    bars = [
        {"title": line.title, "row": line.row, "value": value(line), "text": write(value(line))}
        for line in block.lines
        if line.competes and value(line) is not None
    ]
    if not bars:
        return None
    known = alt.Chart(alt.Data(values=bars))
    # Room for the text behind the longest bar.
    most = 1.25 * max(bar["value"] for bar in bars) or 1
    x = alt.X(
        "value:Q", title=title, axis=alt.Axis(labels=False, ticks=False, grid=False), scale=alt.Scale(domain=[0, most])
    )
    y = alt.Y("title:N", title=None, sort=[line.title for line in block.lines])
    return alt.layer(
        known.mark_bar().encode(x=x, y=y, color=_colour(block, legend=False)),
        known.mark_text(align="left", dx=4).encode(x=x, y=y, text="text:N"),
    ).properties(width="container", height=STEP * len(bars))


def _rows(block: Block) -> list[str]:
    return sorted(line.row for line in block.lines if line.competes)


def _colour(block: Block, legend: bool = True) -> alt.Color:
    rows = _rows(block)
    colours = [PALETTE[index % len(PALETTE)] for index in range(len(rows))]
    references = list(_reference_shapes(block))
    scale = alt.Scale(domain=[*rows, *references], range=[*colours, *[ANCHOR_COLOUR] * len(references)])
    return alt.Color("row:N", title=None, scale=scale, legend=_legend(block) if legend else None)


def _shape(block: Block) -> alt.Shape:
    rows = _rows(block)
    # Colours and shapes repeat in different rhythms, so that twelve methods can be told apart.
    shapes = [SHAPES[(index + index // len(SHAPES)) % len(SHAPES)] for index in range(len(rows))]
    references = _reference_shapes(block)
    scale = alt.Scale(domain=[*rows, *references], range=[*shapes, *references.values()])
    return alt.Shape("row:N", title=None, scale=scale, legend=_legend(block))


def _reference_shapes(block: Block) -> dict[str, str]:
    known = {BASE: "square", VANILLA: "circle"}
    return known | ({RETRAIN: "diamond"} if any(line.row == RETRAIN for line in block.lines) else {})


def _legend(block: Block) -> alt.Legend:
    """The rows by their titles, those that the block has."""
    titles = {line.row: line.title for line in block.lines}
    shown = f"({json.dumps(titles)})[datum.value]"
    # Bands are pale; their signs in the legend need not be.
    return alt.Legend(values=list(titles), labelExpr=shown, labelLimit=0, symbolOpacity=1)


def rank_chart(overall: Overall) -> Spec:
    """Mean ranks with their intervals, and a bar for each group of methods that can't be told apart."""
    count = len(overall.standings)
    titles = [overall.titles[one.name] for one in overall.standings]
    points = [
        {"title": title, "rank": one.rank, "low": one.ranks[0], "high": one.ranks[1], "group": one.groups}
        for title, one in zip(titles, overall.standings, strict=True)
    ]
    letters = sorted({letter for one in overall.standings for letter in one.groups}) if overall.judged else []
    members = [
        {"title": title, "place": count + 0.5 + 0.3 * number, "letter": letter}
        for number, letter in enumerate(letters)
        for title, one in zip(titles, overall.standings, strict=True)
        if letter in one.groups
    ]
    scale = alt.Scale(domain=[0.8, count + 0.5 + 0.3 * len(letters)], nice=False, zero=False)
    axis = alt.Axis(values=list(range(1, count + 1)), format="d", orient="top")
    x = alt.X("rank:Q", title="mean rank over tasks (1 is best), with 95 % interval", scale=scale, axis=axis)
    y = alt.Y("title:N", title=None, sort=titles)
    known, groups = alt.Chart(alt.Data(values=points)), alt.Chart(alt.Data(values=members))
    tooltip = ["title:N", alt.Tooltip("rank:Q", format=".2f"), "low:Q", "high:Q", "group:N"]
    chart = alt.layer(
        known.mark_rule(color=ANCHOR_COLOUR).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y),
        known.mark_point(filled=True, size=90, opacity=1, color=PALETTE[0]).encode(x=x, y=y, tooltip=tooltip),
        groups.mark_line(color=PALETTE[1], strokeWidth=3).encode(
            x=alt.X("place:Q", scale=scale), y=y, detail="letter:N"
        ),
        groups.mark_point(filled=True, size=50, opacity=1, color=PALETTE[1]).encode(
            x=alt.X("place:Q", scale=scale), y=y, tooltip=["title:N", "letter:N"]
        ),
    )
    return styled(chart.properties(width="container", height=STEP * count))


def styled(chart: alt.TopLevelMixin) -> Spec:
    """Text and lines in the colour of the page's own text, so that one chart suits light and dark pages."""
    ink = "currentColor"
    styled = (
        chart.configure(background="transparent", font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=ink, titleColor=ink, domainColor=ink, tickColor=ink, gridColor=ink, gridOpacity=0.15,
            titleFontWeight="normal",
        )
        .configure_legend(labelColor=ink, titleColor=ink, orient="bottom", columns=3)
        .configure_text(color=ink)
        .properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    )  # fmt: skip
    return dict(styled.to_dict())
