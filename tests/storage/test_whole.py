"""Files are written completely or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from unlearnbench.storage.whole import write_whole


def test_all_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old", encoding="utf-8")
    (tmp_path / "a").chmod(0o640)
    write_whole({tmp_path / "a": "new\r\n", tmp_path / "b": "é"})
    assert (tmp_path / "a").read_bytes() == b"new\r\n"
    assert (tmp_path / "b").read_text(encoding="utf-8") == "é"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_symbolic_links_are_kept_and_pipes_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    write_whole({tmp_path / "link": "text", Path(os.devnull): "text"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_text(encoding="utf-8") == "text"


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a tmpfs can't be mounted here (it takes root)")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_full_disk_leaves_every_file_unchanged(tiny_disk: Path) -> None:
    old = {tiny_disk / "leaderboard.json": "j" * 20_000, tiny_disk / "leaderboard.csv": "c" * 10}
    write_whole(old)
    with pytest.raises(OSError, match="No space left"):
        write_whole({tiny_disk / "leaderboard.csv": "new", tiny_disk / "leaderboard.json": "J" * 60_000})
    assert {path: path.read_text(encoding="utf-8") for path in tiny_disk.iterdir()} == old
