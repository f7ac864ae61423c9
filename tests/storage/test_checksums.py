"""Damage to cached files is noticed, and they are made again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from unlearnbench.storage.cache import cached, made
from unlearnbench.storage.checksums import NAME, is_intact, write_checksums


def fill(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "weights").write_bytes(bytes(range(256)) * 64)
    (folder / "inner" / "facts.json").write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("harm", ["one bit", "longer", "shorter", "deleted", "no checksums", "broken checksums"])
def test_damage_of_every_kind_is_noticed_and_repaired(tmp_path: Path, harm: str) -> None:
    entry = tmp_path / "entry"
    made(entry, fill)
    assert is_intact(entry)
    weights = entry / "weights"
    content = bytearray(weights.read_bytes())
    if harm == "one bit":
        content[5000] ^= 4
        weights.write_bytes(content)
    elif harm in ("longer", "shorter"):
        os.truncate(weights, len(content) + (1 if harm == "longer" else -1))
    elif harm == "deleted":
        (entry / "inner" / "facts.json").unlink()
    elif harm == "no checksums":
        (entry / NAME).unlink()
    else:
        (entry / NAME).write_text("[" * 100_000, encoding="utf-8")
    assert not is_intact(entry)
    times = []
    made(entry, lambda folder: (times.append(1), fill(folder))[1])
    assert times == [1]
    assert is_intact(entry)
    assert (entry / "weights").read_bytes() == bytes(range(256)) * 64


def test_copy_of_an_entry_with_more_files_is_intact(tmp_path: Path) -> None:
    made(tmp_path / "entry", fill)
    copy = tmp_path / "copy"
    shutil.copytree(tmp_path / "entry", copy)
    (copy / "more").write_text("more", encoding="utf-8")
    write_checksums(copy)
    assert is_intact(copy)
    (copy / "more").write_text("less", encoding="utf-8")
    assert not is_intact(copy)


def test_intact_entry_is_not_made_again(tmp_path: Path) -> None:
    entry = tmp_path / "entry"
    made(entry, fill)

    def refuse(folder: Path) -> None:
        raise AssertionError("made again")

    assert cached(entry, refuse, lambda folder: (folder / "inner" / "facts.json").read_text(encoding="utf-8")) == "{}"


def test_empty_folder_is_intact_only_with_checksums(tmp_path: Path) -> None:
    assert not is_intact(tmp_path)
    assert not is_intact(tmp_path / "missing")
    write_checksums(tmp_path)
    assert is_intact(tmp_path)
