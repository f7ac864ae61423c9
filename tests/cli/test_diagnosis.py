"""`unlearnbench doctor`: what it finds on this machine, and on machines that lack something."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from unlearnbench.cli import diagnosis
from unlearnbench.plugins import Registry, registry


def by_subject(findings: list[diagnosis.Finding]) -> dict[str, diagnosis.Finding]:
    return {finding.subject: finding for finding in findings}


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.usefixtures("no_hub")
def test_without_the_hub_preset_quick_runs_and_the_others_say_what_they_lack(tmp_path: Path) -> None:
    found = by_subject(diagnosis.examine(registry(), tmp_path))
    assert found["Hugging Face hub"].status == "limited"
    assert found["preset quick"].status == "ok"
    assert found["packages"].status == "ok"
    assert found["preset paper"].status == "missing"
    assert "--data-root" in found["preset paper"].remedy
    assert not any(diagnosis.blocks_quick_preset(finding) for finding in found.values())


@pytest.mark.usefixtures("no_hub")
def test_every_finding_that_is_not_ok_has_a_remedy(tmp_path: Path) -> None:
    findings = diagnosis.examine(Registry(problems=["plugin 'x' was left out"]), tmp_path)
    assert {finding.status for finding in findings} == {"ok", "limited", "missing"}
    assert all(bool(finding.remedy) == (finding.status != "ok") for finding in findings)


@pytest.mark.usefixtures("no_hub")
def test_too_little_memory_limits_a_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**29, total=2**30))
    found = by_subject(diagnosis.examine(registry(), tmp_path))
    assert found["memory"].status == "limited"
    assert found["preset quick"].status == "limited"
    assert "0.5 GiB free memory" in found["preset quick"].found


@pytest.mark.usefixtures("no_hub")
def test_a_package_that_is_absent_is_named_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "optuna":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(diagnosis, "version", version)
    found = by_subject(diagnosis.examine(registry(), tmp_path))
    assert found["optuna"].status == "missing"
    assert found["optuna"].remedy.startswith("pip install 'optuna")
    assert diagnosis.blocks_quick_preset(found["optuna"])


@pytest.mark.usefixtures("no_hub")
def test_a_results_folder_that_can_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**where: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(diagnosis.tempfile, "TemporaryFile", refuse)
    found = by_subject(diagnosis.examine(registry(), tmp_path / "results"))
    assert found["results folder"].status == "missing"
    assert "Permission denied" in found["results folder"].found
