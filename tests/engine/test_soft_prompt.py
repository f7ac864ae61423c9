"""Prompt adapters that somebody else may have written."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from unlearnbench.engine.soft_prompt import load_adapter
from unlearnbench.errors import UserError


def test_virtual_tokens_are_loaded(tmp_path: Path) -> None:
    tokens = torch.arange(8.0).reshape(2, 4)
    save_file({"prompt_embeddings": tokens}, tmp_path / "adapter_model.safetensors")
    assert torch.equal(load_adapter(tmp_path), tokens)


@pytest.mark.parametrize(
    "tensors",
    [
        {"other": torch.zeros(2, 4)},
        {"prompt_embeddings": torch.zeros(4)},
        {"prompt_embeddings": torch.zeros(0, 4)},
        {"prompt_embeddings": torch.zeros(2, 4, dtype=torch.int64)},
    ],
    ids=["another name", "one axis", "no token", "whole numbers"],
)
def test_other_tensors_are_reported_in_one_sentence(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"adapter_model\.safetensors"):
        load_adapter(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x80\x02pickled", None])
def test_broken_files_are_reported_in_one_sentence(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "adapter_model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="does not hold a prompt adapter"):
        load_adapter(tmp_path)
