"""Damaged cache files are made again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import invoke
from tests.survival.processes import results_of
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.storage.cache import cache_root
from unlearnbench.storage.checksums import is_intact

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("harm", ["truncated", "deleted", "zeroed"])
def test_broken_base_model_is_made_again(common: list[object], tmp_path: Path, harm: str) -> None:
    first = [*common, "--results", tmp_path / "results"]
    assert invoke(*first, "--methods", "ga").exit_code == 0
    (weights,) = cache_root().glob("base/*/model.safetensors")
    whole = weights.read_bytes()
    if harm == "truncated":
        os.truncate(weights, len(whole) // 2)
    elif harm == "zeroed":
        # Right length, right header: nothing but the numbers are wrong.
        middle, few = len(whole) // 2, 4096
        weights.write_bytes(whole[:middle] + bytes(few) + whole[middle + few :])
    else:
        weights.unlink()
    outcome = invoke(*first, "--methods", "spul")
    assert outcome.exit_code == 0, outcome.output
    assert weights.read_bytes() == whole


def test_intact_base_model_survives_unrelated_errors(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have taken hours; only broken files are a reason to make it again."""
    from unlearnbench.cell.model_slot import ModelSlot

    assert invoke(*common, "--results", tmp_path / "results", "--methods", "ga").exit_code == 0
    (weights,) = cache_root().glob("base/*/model.safetensors")
    assert is_intact(weights.parent)
    made = weights.stat().st_mtime_ns

    def refuse(self: ModelSlot, *arguments: object, **options: object) -> None:
        raise UserError("this device can't do that")

    monkeypatch.setattr(ModelSlot, "_loaded", refuse)
    stopped = invoke(*common, "--results", tmp_path / "results", "--methods", "spul").exception
    assert str(stopped) == "this device can't do that"
    assert weights.stat().st_mtime_ns == made
    os.truncate(weights, weights.stat().st_size - 1)
    assert not is_intact(weights.parent)


@pytest.mark.parametrize(
    ("pattern", "harm"),
    [
        ("references/*/values.npy", "truncated"),
        ("splits/*/train_forget.parquet", "emptied"),
        ("splits/*/provenance.json", "deleted"),
        ("references/*/values.npy", "zeroed"),
    ],
)
def test_broken_cache_files_are_made_again(pattern: str, harm: str, model_folder: Path, tmp_path: Path) -> None:
    arguments = [
        "run", "--preset", "quick", "--tasks", "sst2", "--models", model_folder, "--methods", "ga-kl", "--trials", 0,
        "--max-train", 8, "--max-test", 8, "--set", "base.epochs=1", "--set", "model.context_length=128", "--quiet",
    ]  # fmt: skip
    assert invoke(*arguments, "--results", tmp_path / "first").exit_code == 0
    files = list(cache_root().glob(pattern))
    assert files
    for file in files:
        if harm == "deleted":
            file.unlink()
        elif harm == "zeroed":
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
        else:
            os.truncate(file, file.stat().st_size // 2 if harm == "truncated" else 0)
    outcome = invoke(*arguments, "--results", tmp_path / "second")
    assert outcome.exit_code == 0, outcome.output
    first, second = (open_entries(str(tmp_path / name)) for name in ("first", "second"))
    assert results_of(first) == results_of(second)
