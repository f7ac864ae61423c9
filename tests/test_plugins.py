"""Discovery: names, conflicts, and plugins that break."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from unlearnbench.errors import UserError
from unlearnbench.plugins import load_registry, registry

GOOD = """
from unlearnbench.api import Method, hookimpl

class Mine(Method):
    name = "{name}"
    title = "Mine"
    description = "A test."
    uses = ("forget",)
    def loss(self, batch):
        return batch.forget.cross_entropy()

@hookimpl
def register_methods():
    return [Mine]
"""


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> EntryPoint:
    """An entry point for a module made of `source`."""
    (folder / f"{name}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(name, None)
    return EntryPoint(name, name, "unlearnbench")


def test_built_in_names_come_through_the_entry_points_alone() -> None:
    known = registry()
    assert set(known.methods) >= {"ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul"}
    assert set(known.tasks) >= {"sst2", "yelp", "wmdp-sciq", "arc"}
    assert set(known.models) >= {"llama-2-7b", "llama-2-13b", "opt-1.3b", "smollm2-135m"}
    assert load_registry([]).methods == {}


def test_plugin_that_fails_on_import_is_reported_and_the_rest_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = module(tmp_path, monkeypatch, "broken_plugin", "import no_such_module")
    good = module(tmp_path, monkeypatch, "good_plugin", GOOD.format(name="mine"))
    found = load_registry([broken, good])
    assert list(found.methods) == ["mine"]
    assert len(found.problems) == 1
    assert "'broken_plugin'" in found.problems[0]
    assert "no_such_module" in found.problems[0]


def test_hook_that_raises_or_is_misspelt_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raising = module(
        tmp_path, monkeypatch, "raising_plugin",
        "from unlearnbench.api import hookimpl\n@hookimpl\ndef register_methods():\n    raise RuntimeError('oh no')\n",
    )  # fmt: skip
    misspelt = module(
        tmp_path, monkeypatch, "misspelt_plugin",
        "from unlearnbench.api import hookimpl\n@hookimpl\ndef register_method():\n    return []\n",
    )  # fmt: skip
    found = load_registry([raising, misspelt])
    assert len(found.problems) == 2
    assert any("oh no" in problem for problem in found.problems)
    assert any("register_method" in problem for problem in found.problems)


@pytest.mark.parametrize("name", ["../escape", "a/b", "<b>", "", ".hidden", "two words", "näme"])
def test_names_that_could_leave_their_folder_are_left_out(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_registry([module(tmp_path, monkeypatch, "odd_plugin", GOOD.format(name=name))])
    assert not found.methods
    (problem,) = found.problems
    assert f"registers a method called {name!r}, which was left out" in problem


@pytest.mark.parametrize("name", ["vanilla", "base", "retrain"])
def test_method_cannot_take_the_name_of_a_reference_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = load_registry([module(tmp_path, monkeypatch, "odd_plugin", GOOD.format(name=name))])
    assert not found.methods
    (problem,) = found.problems
    assert f"registers a method called {name!r}, which was left out: a row of every leaderboard" in problem


def test_two_plugins_with_one_name_keep_the_first_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [module(tmp_path, monkeypatch, name, GOOD.format(name="mine")) for name in ("first_one", "second_one")]
    found = load_registry(points)
    assert found.methods["mine"].origin.plugin == "first_one"
    (problem,) = found.problems
    assert "two plugins register the method 'mine'" in problem


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="no method is called 'spull': did you mean 'spul'"):
        registry().method("spull")


@pytest.mark.parametrize(("needed", "refused"), [("unlearnbench>=99", True), ("unlearnbench>=0.1", False)])
def test_plugin_of_a_newer_api_is_refused_with_a_remedy(
    needed: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = module(tmp_path, monkeypatch, "newer", GOOD.format(name="newer"))
    metadata = tmp_path / "newer_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: newer-package\nVersion: 1.0\nRequires-Dist: {needed}\n", encoding="utf-8"
    )
    found = load_registry([point._for(PathDistribution(metadata))])  # type: ignore[attr-defined]
    assert ("newer" in found.methods) != refused
    if refused:
        (problem,) = found.problems
        assert "'newer' of newer-package 1.0 was left out: it needs unlearnbench>=99, but unlearnbench" in problem
        assert "Upgrade that" in problem
