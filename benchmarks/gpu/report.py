"""What was found, as Markdown, and what was not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.step import Finding, Step


def to_markdown(steps: Sequence[Step], found: Mapping[str, Finding], not_done: Mapping[str, str], note: str) -> str:
    """A table for each part, then what could not be done."""
    lines = [note, ""]
    for part in dict.fromkeys(step.part for step in steps):
        lines += [f"## {part.capitalize()}", "", "| | criterion | met | found |", "|---|---|---|---|"]
        for step in steps:
            if step.part == part and step.key in found:
                finding = found[step.key]
                lines.append(f"| {step.name} | {step.criterion} | {_met(finding)} | {_shown(finding.values)} |")
        lines.append("")
    missing = [f"- {step.key}: {not_done.get(step.key, 'not tried yet')}" for step in steps if step.key not in found]
    return "\n".join([*lines, "## Not done", "", *(missing or ["Nothing."]), ""])


def summary(steps: Sequence[Step], found: Mapping[str, Finding], not_done: Mapping[str, str]) -> str:
    """How many steps are done, which criteria are not met, and what could not be done and why."""
    missed = [step for step in steps if step.key in found and found[step.key].passed is False]
    missing = [step for step in steps if step.key not in found]
    lines = [f"{len(steps) - len(missing)} of {len(steps)} steps done, {len(missed)} do not meet their criterion"]
    lines += [f"criterion not met: {step.key}: {_shown(found[step.key].values)}" for step in missed]
    lines += [f"not done: {step.key}: {not_done.get(step.key, 'not tried yet')}" for step in missing]
    return "\n".join(lines)


def _met(finding: Finding) -> str:
    return "" if finding.passed is None else "yes" if finding.passed else "**no**"


def _shown(values: Mapping[str, Any]) -> str:
    """Single values; longer ones are in the JSON file."""
    return "; ".join(f"{key} {_value(value)}" for key, value in values.items() if _is_short(value)).replace("|", "/")


def _is_short(value: Any) -> bool:
    return value is not None and value != "" and len(str(value)) <= 120


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
