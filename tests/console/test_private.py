"""What tells of a machine and its user."""

from __future__ import annotations

import pytest

from tests.leaderboard.entries import entry
from unlearnbench.console import private
from unlearnbench.console.private import is_place, private_parts, without_places
from unlearnbench.leaderboard.check import check_entries, telling, wrong

PATHS = [
    "/home/ada/hub", "/Users/ada/models/llama", "~/hub/glue", "/root", "/tmp/x", r"C:\Users\ada\hub",
    r"\\server\share\hub", "file:///home/ada/x", "/data/hub/",
]  # fmt: skip
INNOCENT = [
    "cais/wmdp@generated:aad0d0c2463828d0; allenai/sciq@generated:eacd6efd5fcad348", "tiny / sst2 / seed 0 / ga",
    "https://huggingface.co/datasets/glue", "meta-llama/Llama-2-7b-hf", "folder:b84dfa4e2a5bb8a5", "and/or", "1/2",
    "OMP_WAIT_POLICY=passive", "Intel(R) Xeon(R) Processor, 2 CPUs", "path:toy-data", "log-uniform 0.0001 to 0.01",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_found_wherever_they_stand(path: str) -> None:
    assert is_place(path)
    for text in (path, f"path:{path}", f"data root {path} has no folder", f"'{path}'"):
        assert [part for part in private_parts(text) if part.startswith("the path")], text


@pytest.mark.parametrize("text", INNOCENT)
def test_names_and_addresses_are_innocent(text: str) -> None:
    assert list(private_parts(text)) == []
    assert not is_place(text)
    assert without_places(text) == text


def test_tokens_addresses_and_user_names_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private, "_user", lambda: "lovelace")
    assert list(private_parts("hf_abcdefghijklmnopqrstuvwx")) == ["a password or token"]
    assert list(private_parts("postgresql://me:secret@db/x")) == ["a password or token"]
    assert list(private_parts("by ada@example.org")) == ["the address 'ada@example.org'"]
    assert list(private_parts("Lovelace's workstation")) == ["the user name 'lovelace'"]
    assert list(private_parts("lovelacesque")) == []


def test_messages_keep_the_last_part_of_a_path() -> None:
    text = "data root /home/ada/hub has no folder glue/sst2; C:\\Users\\ada\\x too"
    assert without_places(text) == "data root hub has no folder glue/sst2; x too"


@pytest.mark.parametrize(
    "config",
    [
        {"data_root": "/home/ada/hub"},
        {"tasks": ["path:/home/ada/rows"]},
        {"models": ["~/models/llama"]},
        {"set": {"sst2": {"split": "/home/ada/split.json"}}},
    ],
)
def test_check_refuses_a_leaderboard_that_tells_of_its_machine_but_it_can_be_read(config: dict[str, object]) -> None:
    entries = [entry("base", 0.9, 0.9, config=config), entry("spul", 0.1, 0.8)]
    assert wrong(entries) == []
    problems = telling(entries)
    assert problems
    assert set(problems) <= set(check_entries(entries))
    assert all(problem.startswith("m / sst2 / seed 0 / base: config.") for problem in problems)
    assert telling(entries[1:]) == []
