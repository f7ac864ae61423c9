"""A small grid, and snapshots after every step of it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def common(model_folder: Path, data_folder: Path) -> list[object]:
    return [
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "ga,npo-rt,spul", "--trials", 3,
        "--set", "base.kind=lora", "--set", "base.epochs=4", "--set", "spul.epochs=4", "--set", "npo-rt.epochs=4",
        "--quiet",
    ]  # fmt: skip


@pytest.fixture
def every_step(tmp_path: Path) -> list[object]:
    """Snapshots after every step."""
    file = tmp_path / "often.yaml"
    file.write_text("checkpoint_seconds: 0\n", encoding="utf-8")
    return ["--config", file]
