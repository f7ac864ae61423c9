"""Leaderboards of strangers: every fault is one sentence that names the entry, before anything uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import invoke
from tests.leaderboard.entries import ENTRIES, flags
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.files import to_csv, to_json
from unlearnbench.leaderboard.reading import read_leaderboard

ESCAPE = "\x1b]52;c;cm0gLXJmIH4=\x07"


def write(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A leaderboard file whose first entry was changed."""
    loaded = json.loads(to_json(ENTRIES))
    change(loaded["entries"][0])
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps(loaded), encoding="utf-8")
    return file


def seeded(entry: dict[str, Any], seed: int) -> None:
    """Another seed, wherever the identity has it."""
    subject = entry["identity"]["subject"]
    subject["seed"] = subject["start"]["base"]["seed"] = seed


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "seed": (lambda e: seeded(e, 10**25), "seed and trials must be between"),
    "no zone": (lambda e: e.update(recorded="2026-11-21T00:00:00"), "entries.0.recorded"),
    "metric lacks": (lambda e: e["metrics"].pop("test_forget_accuracy"), "m / sst2 / seed 0 / spul: metric"),
    "flags": (lambda e: e["right"].update(test_retain="1"), "spul: right.test_retain has 1 flags"),
    "no flags": (lambda e: e["right"].update(arc=""), "spul: right.arc has 0 flags"),
    "accuracy": (lambda e: e["metrics"].update(test_retain_accuracy=0.5), "spul: right.test_retain makes"),
    "huge": (lambda e: e["metrics"].update(training_wall_seconds=1e300), "entries.0.metrics.training_wall_seconds"),
    "size": (lambda e: e["data"]["sizes"].update(test_retain=10**30), "entries.0.data.sizes.test_retain"),
    "escape": (lambda e: e.update(title=ESCAPE), "holds control characters: entries.0.title"),
    "escape in a key": (lambda e: e["versions"].update({ESCAPE: "1"}), "entries.0.versions.a key"),
    "escape in settings": (lambda e: e["config"].update(preset=ESCAPE), "entries.0.config.preset"),
    "settings": (lambda e: e["config"].update(trials=3), "spul: config is not valid"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", ["check", "merge", "compare"])
def test_every_command_names_the_fault(tmp_path: Path, fault: str, command: str) -> None:
    change, said = FAULTS[fault]
    file = write(tmp_path, change)
    arguments = {
        "check": ["leaderboard", "check", file],
        "merge": ["leaderboard", "merge", file, "--output", tmp_path / "merged"],
        "compare": ["compare", file, file],
    }[command]
    outcome = invoke(*arguments)
    assert outcome.exit_code == 1
    message = outcome.output if command == "check" else str(outcome.exception)
    assert command == "check" or isinstance(outcome.exception, UserError)
    assert said in message
    assert "\x1b" not in outcome.output + str(outcome.exception)
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize("text", ["[" * 200_000, '{"entries":' * 200_000, '{"a": ' * 60 + "1" + "}" * 60])
def test_nesting_without_end_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="nested too deeply|is not valid JSON"):
        read_leaderboard(str(tmp_path / "deep.json"))


def test_settings_without_a_section_can_be_compared(tmp_path: Path) -> None:
    file = write(tmp_path, lambda e: e["config"].pop("base"))
    assert invoke("compare", file, file).exit_code == 0


def test_what_is_only_lacking_is_told_and_merged(tmp_path: Path) -> None:
    file = tmp_path / "theirs.csv"
    file.write_text(to_csv(ENTRIES), encoding="utf-8")
    outcome = invoke("leaderboard", "merge", file, "--output", tmp_path / "merged")
    assert outcome.exit_code == 0, outcome.output
    assert f"incomplete: {file}: m / sst2 / seed 0 / spul: config is missing" in outcome.stderr


def test_folder_whose_name_is_no_plain_text_is_shown_as_it_is_spelt(tmp_path: Path) -> None:
    folder = tmp_path / f"evil{ESCAPE.replace('/', '')}\nfolder: 4 results, nothing wrong"
    folder.mkdir()
    (folder / "leaderboard.json").write_text(to_json(ENTRIES), encoding="utf-8")
    (folder / "config.yaml").write_text("preset: quick\n", encoding="utf-8")
    outcome = invoke("leaderboard", "check", folder)
    assert outcome.exit_code == 0
    assert "\x1b" not in outcome.output
    assert outcome.output.count("\n") == 1


def test_flags_of_other_lengths_in_one_block_are_named(tmp_path: Path) -> None:
    def lengthen(entry: dict[str, Any]) -> None:
        entry["right"]["arc"] = flags(0.5, 20)
        entry["metrics"] |= {"transfer_arc_accuracy": 0.5, "transfer_arc_examples": 20}

    loaded = json.loads(write(tmp_path, lengthen).read_text(encoding="utf-8"))
    other = loaded["entries"][2]
    other["right"]["arc"] = flags(0.5, 10)
    other["metrics"] |= {"transfer_arc_accuracy": 0.5, "transfer_arc_examples": 10}
    (tmp_path / "theirs.json").write_text(json.dumps(loaded), encoding="utf-8")
    with pytest.raises(UserError, match=r"ga: right\.arc has 10 flags, but that of another entry on the same rows 20"):
        read_leaderboard(str(tmp_path / "theirs.json"))
