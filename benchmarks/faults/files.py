"""Files that strangers may have written: every one is used, or refused with one sentence."""

from __future__ import annotations

import io
import json
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from safetensors.torch import save

from tests.leaderboard.entries import ENTRIES
from unlearnbench.config import RunConfig, build_config, read_file
from unlearnbench.console.safe_text import printable
from unlearnbench.contract.task import SPLIT_NAMES
from unlearnbench.data.checks import check_splits
from unlearnbench.data.folder_task import FolderTask
from unlearnbench.engine.soft_prompt import load_adapter
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.compare import compare_entries
from unlearnbench.leaderboard.compare_render import to_csv as compared_csv
from unlearnbench.leaderboard.compare_render import to_markdown as compared_markdown
from unlearnbench.leaderboard.files import to_csv, to_json
from unlearnbench.leaderboard.merge import merge_entries
from unlearnbench.leaderboard.reading import read_leaderboard
from unlearnbench.leaderboard.render import to_markdown

ODD_TEXT = st.sampled_from(
    ["", " ", "\x1b]0;x\x07", "a\nb", "\u202e", "=1+1", "../../x", "/etc/passwd", "<script>", "|", "[bold]", "{{7*7}}",
     "%s", "nan", "-1", "1e999", "9" * 5000, "\ud7ff", "é" * 600]
)  # fmt: skip
ODD = st.one_of(
    ODD_TEXT,
    st.sampled_from([None, True, 0, -1, 10**25, 2**63, 1e300, -1e300, 0.5, 1e-300, float("nan"), float("inf")]),
    st.sampled_from(["[]", "{}", "[[]]", '{"a": {"b": {}}}']).map(json.loads),
    st.text(max_size=20),
)

SETTINGS = RunConfig().model_dump(mode="json")
LEADERBOARD = json.loads(to_json(ENTRIES))
# In C, if it is there.
WRITER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


@st.composite
def damaged(draw: st.DrawFn, value: Any) -> Any:
    """The value with up to three places replaced, removed, renamed, or nested."""
    changed = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(0, 3))):
        here, path = changed, []
        while isinstance(here, (dict, list)) and here and (not path or draw(st.integers(0, 3))):
            parent = here
            step = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            path.append(step)
            here = here[step]
        if not path:
            return draw(ODD)
        how = draw(st.sampled_from(["replace", "replace", "remove", "rename", "deepen"]))
        if how == "remove":
            del parent[path[-1]]
        elif how == "rename" and isinstance(parent, dict):
            parent[draw(ODD_TEXT)] = parent.pop(path[-1])
        elif how == "deepen":
            for _ in range(draw(st.sampled_from([1, 30, 300]))):
                here = [here]
            parent[path[-1]] = here
        else:
            parent[path[-1]] = draw(ODD)
    return changed


def use_leaderboard(text: str, folder: Path) -> None:
    """Checks, compares, merges and shows it."""
    file = folder / "theirs.json"
    file.write_text(text, encoding="utf-8")
    entries, _ = read_leaderboard(str(file))
    comparison = compare_entries(ENTRIES, entries)
    merged = merge_entries({"ours": ENTRIES, "theirs": entries}).entries
    shown = [to_markdown(build_blocks(entries)), to_markdown(build_blocks(merged)), compared_markdown(comparison)]
    shown += [to_json(merged), to_csv(merged), compared_csv(comparison)]
    for one in shown:
        assert printable(one.replace("\r\n", "\n"), lines=True) == one.replace("\r\n", "\n"), "control characters"


def use_settings(text: str, folder: Path) -> None:
    """Reads it as ``run --config`` does."""
    (folder / "settings.yaml").write_text(text, encoding="utf-8")
    build_config(read_file(folder / "settings.yaml"), {})


def use_data(rows: dict[str, str], folder: Path) -> None:
    """Reads it as ``--tasks path:DIR`` does."""
    for name, text in rows.items():
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    task = FolderTask(folder)
    for on_leakage in ("error", "drop-from-train"):
        check_splits(task.name, task.splits(None, 0), on_leakage)  # type: ignore[arg-type]


def use_adapter(content: bytes, folder: Path) -> None:
    """Loads it as a soft prompt."""
    (folder / "adapter_model.safetensors").write_bytes(content)
    assert load_adapter(folder).ndim == 2


@st.composite
def leaderboards(draw: st.DrawFn) -> str:
    """A leaderboard with odd places, or what is no leaderboard."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.sampled_from(["[" * 100_000, '{"entries":' * 5000, "", "\x00", "1" * 5000, "null"]))
    return json.dumps(draw(damaged(LEADERBOARD)))


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """Settings with odd places, or what is no YAML."""
    if draw(st.integers(0, 9)) == 0:
        return draw(
            st.sampled_from(
                ["[" * 600, "a: " + "9" * 5000, "&a [*a]", "!!python/object/apply:os.system [id]", "{", "\x1b", "- a",
                 "a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]", "seeds: [10000000000000000000000]", "? [a]\n: b"]
            )
        )  # fmt: skip
    return str(yaml.dump(draw(damaged(SETTINGS)), Dumper=WRITER, allow_unicode=True))


@st.composite
def data_sets(draw: st.DrawFn) -> dict[str, str]:
    """Four files of rows, some of them odd."""
    split = {name: [{"prompt": f"{name} {i}", "answer": "ab"[i % 2]} for i in range(4)] for name in SPLIT_NAMES}
    changed = draw(damaged(split))
    if not isinstance(changed, dict):
        changed = split
    texts = {}
    for name in SPLIT_NAMES:
        rows = changed.get(name, [])
        texts[name] = "\n".join(json.dumps(row) for row in rows) if isinstance(rows, list) else json.dumps(rows)
        if draw(st.integers(0, 9)) == 0:
            texts[name] += draw(st.sampled_from(["\n{", "\n" + "[" * 50_000, "\n\x00", "\n1", "\n" + "9" * 5000]))
    return texts


@st.composite
def adapters(draw: st.DrawFn) -> bytes:
    """A prompt adapter with bytes changed, cut or added, or with other tensors."""
    shape = draw(st.sampled_from([(2, 4), (2, 4), (2, 4), (4,), (0, 4), (1, 2, 2)]))
    kind = draw(st.sampled_from([torch.float32, torch.float16, torch.int64]))
    name = draw(st.sampled_from(["prompt_embeddings"] * 3 + ["other"]))
    content = bytearray(save({name: torch.zeros(shape, dtype=kind)}))
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.booleans()):
        return bytes(content)
    return bytes(content[: draw(st.integers(1, len(content)))]) + draw(st.sampled_from([b"", b"\x00" * 9]))


KINDS: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any, Path], None]]] = {
    "leaderboards": (leaderboards(), use_leaderboard),
    "configurations": (configurations(), use_settings),
    "data": (data_sets(), use_data),
    "adapters": (adapters(), use_adapter),
}


def play_files(number: int, examples: int) -> dict[str, Any]:
    """One round: so many random files of each kind; what became of them."""
    faults: Counter[str] = Counter()
    problems: list[str] = []
    for kind, (strategy, use) in KINDS.items():

        def attempt(made: Any) -> None:
            refused = _attempt(made, use)  # noqa: B023 (called within this turn of the loop)
            faults[f"{kind} {'used' if refused is None else 'refused'}"] += 1  # noqa: B023

        limits = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(number)(limits(given(strategy)(attempt)))()
        except Exception as error:
            problems.append(f"{kind}: {type(error).__name__}: {error}"[:500])
    return {"faults": dict(faults), "problems": problems}


def _attempt(made: Any, use: Callable[[Any, Path], None]) -> str | None:
    """Uses what was made; returns the sentence of its refusal."""
    refused, printed = None, io.StringIO()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "folder"
        folder.mkdir()
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                use(made, folder)
        except UserError as error:
            refused = str(error)
        assert [path.name for path in Path(parent).iterdir()] == ["folder"], "written outside"
    for text in (refused or "", printed.getvalue()):
        assert printable(text, lines=True) == text, "control characters"
    return refused
