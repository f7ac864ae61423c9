"""The command for a GPU, on a CPU: what it does again, what it records, and what its criteria notice."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.engine import Results
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import agreement, fast, growth, memory, real, runs
from benchmarks.gpu.command import Command, one_task
from benchmarks.gpu.report import summary, to_markdown
from benchmarks.gpu.step import CannotDoError, Finding, Setup, Step, do_steps
from tests.conftest import invoke
from unlearnbench.config import RunConfig
from unlearnbench.engine import packing


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup("cpu", True, tmp_path)


def step(name: str, finding: Finding | Exception, done: list[str]) -> Step:
    def run() -> Finding:
        done.append(name)
        if isinstance(finding, Exception):
            raise finding
        return finding

    return Step("right", name, "it is so", run)


def named(steps: Any, part: str) -> Step:
    return next(step for step in steps if part in step.name)


def test_finished_step_is_not_repeated_and_a_failed_one_is_tried_again_last(tmp_path: Path) -> None:
    done: list[str] = []
    file = tmp_path / "gpu.json"
    bad = step("bad", CannotDoError("no room\nat all"), done)
    good = step("good", Finding(True, {"seconds": 1.5}), done)
    found = do_steps([bad, good], Results(file, {}), "cpu")
    assert found == {"right: good": Finding(True, {"seconds": 1.5})}
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written["not done"] == {"right: bad": "CannotDoError: no room."}

    mended, new = step("bad", Finding(None, {}), done), step("new", Finding(None, {}), done)
    results = Results(file, {})
    assert set(do_steps([mended, good, new], results, "cpu")) == {"right: bad", "right: good", "right: new"}
    assert done == ["bad", "good", "new", "bad"]
    assert results.not_done == {}
    assert "not done" not in json.loads(file.read_text(encoding="utf-8"))


def test_step_in_which_the_process_ended_is_known_and_tried_last(tmp_path: Path) -> None:
    def killed() -> Finding:
        raise KeyboardInterrupt

    file, done = tmp_path / "gpu.json", list[str]()
    with pytest.raises(KeyboardInterrupt):
        do_steps([Step("right", "deadly", "", killed)], Results(file, {}), "cpu")
    results = Results(file, {})
    assert results.not_done == {"right: deadly": "the process ended while this was measured"}
    do_steps([step("deadly", Finding(None, {}), done), step("other", Finding(None, {}), done)], results, "cpu")
    assert done == ["other", "deadly"]


def test_device_that_computes_no_more_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr("benchmarks.gpu.step._answers", lambda device: False)
    steps = [step("first", RuntimeError("illegal access"), done), step("second", Finding(None, {}), done)]
    assert do_steps(steps, Results(tmp_path / "gpu.json", {}), "cpu") == {}
    assert done == ["first"]


def test_command_tells_what_it_could_not_do_and_measures_the_missed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done: list[str] = []
    steps = [
        step("good", Finding(True, {}), done),
        step("slow", Finding(False, {"ratio": 1.23456}), done),
        step("impossible", CannotDoError("no data"), done),
    ]
    monkeypatch.setattr(command, "PARTS", {"right": (lambda setup: steps,), "fast": ()})
    arguments = ["--output", str(tmp_path), "--device", "cpu", "--small", "--parts", "right"]
    assert command.main(arguments) == 1
    told = capsys.readouterr().out
    assert "2 of 3 steps done, 1 do not meet their criterion" in told
    assert "criterion not met: right: slow: ratio 1.235" in told
    assert "not done: right: impossible: CannotDoError: no data." in told
    table = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "| slow | it is so | **no** | ratio 1.235 |" in table
    assert "- right: impossible: CannotDoError: no data." in table
    done.clear()
    command.main([*arguments, "--again"])
    assert done == ["slow", "impossible"]


def test_without_the_device_the_command_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert command.main(["--output", str(tmp_path / "new")]) == 2
    assert "torch sees no CUDA GPU" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_all_done_and_met_says_so() -> None:
    steps = [step("good", Finding(True, {}), [])]
    found = {"right: good": Finding(True, {})}
    assert summary(steps, found, {}) == "1 of 1 steps done, 0 do not meet their criterion"
    assert "Nothing." in to_markdown(steps, found, {}, "note")


def test_all_parts_have_steps_with_names_of_their_own(setup: Setup) -> None:
    for each in (setup, Setup("cuda", False, setup.output)):
        steps = command.steps_of(each, list(command.PARTS))
        assert len({step.key for step in steps}) == len(steps)
        assert {step.part for step in steps} == set(command.PARTS)
        assert all(step.criterion for step in steps if step.part in ("right", "real"))


@pytest.mark.parametrize(
    "part", ["spul step, float32", "evaluation, bfloat16", "method rl on a tiny model, bf", "npo-rt step, gradient"]
)
def test_values_agree(setup: Setup, part: str) -> None:
    assert named(agreement.steps(setup), part).run().passed is True


def test_wrong_gradients_and_losses_do_not_pass(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    from unlearnbench_methods.ga import GradientAscent

    original = GradientAscent.loss

    def differs(self: Any, batch: Any) -> Any:
        # Padded and packed rows are told apart by nothing but the order of calls: the second one is the device's.
        calls.append(1)
        return original(self, batch) * (1.0 if len(calls) == 1 else 1.01)

    calls: list[int] = []
    monkeypatch.setattr(GradientAscent, "loss", differs)
    found = named(agreement.steps(setup), "method ga on a tiny model, float32").run()
    assert found.passed is False
    assert found.values["gradient error"] == pytest.approx(0.01, rel=0.01)

    def refuses(case: Any) -> Any:
        raise SystemExit("the two sides differ")

    monkeypatch.setattr(agreement, "check_equal", refuses)
    assert named(agreement.steps(setup), "spul step, float32").run() == Finding(
        False, {"difference": "the two sides differ"}
    )


def test_memory_is_compared_with_the_plans_estimate(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = named(memory.steps(setup), "weights, float32, adamw").run
    found = measure()
    estimated = found.values["estimated"]
    assert found.values["measured"] > 0
    for factor, passed in ((1.19, True), (0.79, False), (1.25, False)):
        monkeypatch.setattr(memory, "measured_peak", lambda device, run, factor=factor: int(factor * estimated))
        assert measure().passed is passed


def test_limit_of_memory_needs_a_gpu(setup: Setup) -> None:
    with pytest.raises(CannotDoError, match="GPU"):
        named(memory.steps(setup), "out of memory in a step").run()


def test_methods_that_are_clearly_apart_must_keep_their_order() -> None:
    cpu = {"sst2": {"ga": 0.1, "ga-gd": 0.45, "npo-rt": 0.5, "spul": 0.9}}
    near = {"sst2": {"ga": 0.2, "ga-gd": 0.5, "npo-rt": 0.45, "spul": 0.8}}
    assert runs.swapped(cpu, near) == []
    assert runs.swapped(cpu, {"sst2": near["sst2"] | {"ga": 0.47}}) == ["sst2: ga and npo-rt"]


def test_trade_offs_are_relative_to_the_base_model() -> None:
    def entry(forget: float, retain: float) -> Any:
        return SimpleNamespace(metrics={"test_forget_accuracy": forget, "test_retain_accuracy": retain})

    cells = {("vanilla", None): entry(1, 1), ("base", 0): entry(1, 0.8), ("ga", 0): entry(0, 0.8)}
    entries = {("sst2", *key): value for key, value in cells.items()}
    assert runs.trade_offs(entries) == {"sst2": {"ga": 1.0}}


def test_goals_decide_whether_a_step_is_fast(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    run = named(fast.steps(setup), "npo-rt, tiny, rows of SST-2").run
    found = run()
    assert found.values["utilisation"] > 0
    assert found.passed is (found.values["ratio"] >= 2.5 and found.values["memory ratio"] >= 3)
    monkeypatch.setattr(fast, "GOALS", {"npo-rt": 0.0})
    monkeypatch.setattr(fast, "MEMORY_GOAL", 0.0)
    assert run().passed is True


def test_batch_is_halved_until_memory_holds_it(setup: Setup) -> None:
    asked: list[int] = []

    def measure(rows: int) -> Any:
        asked.append(rows)
        if rows > 4:
            raise torch.OutOfMemoryError("too large")
        return rows

    assert fast._largest_batch(setup, measure) == 4
    assert asked == [8, 4]
    with pytest.raises(CannotDoError):
        fast._largest_batch(setup, lambda rows: measure(9))


def test_sweep_names_the_best_and_leaves_the_spread_as_it_was(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    before = packing.CPU_SPREAD, packing.GPU_SPREAD
    monkeypatch.setattr(fast, "seconds_of", lambda run, device: 1.0 if packing.GPU_SPREAD == 1.5 else 2.0)
    found = named(fast.steps(setup), "sweep of passes, evaluation, tiny, rows of SST-2").run()
    assert found.values["best"]["spread"] == 1.5
    assert found.values["today's"]["slower than the best"] == 1.0
    assert found.passed is False
    assert before == (packing.CPU_SPREAD, packing.GPU_SPREAD)


def test_profile_and_growth_have_numbers(setup: Setup) -> None:
    profile = named(fast.steps(setup), "profile of spul, tiny").run().values
    assert profile["seconds"] > 0
    assert (setup.output / profile["file"]).is_file()
    point = named(growth.steps(setup), "npo-rt, weights, tiny").run().values
    assert point["parameters"] == 500 * 64 + 64 * (64 + 64 + 32 + 32 + 3 * 128 + 2) + 64
    assert min(point["seconds"], point["bytes"]) > 0


def test_leaderboards_need_data(setup: Setup) -> None:
    with pytest.raises(CannotDoError, match="--data-root"):
        next(iter(real.steps(setup))).run()
    assert "sst2.split=authors" in real.LEADERBOARDS["smollm2-135m-sst2-authors"]


def cell(retain: float, recorded: int = 0) -> Any:
    metrics = {"test_forget_accuracy": 0.5, "test_retain_accuracy": retain, "training_peak_memory_bytes": 1.0}
    return SimpleNamespace(metrics=metrics, recorded=recorded)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[Any, Any]]:
    """Commands that compute nothing, and the cells that each is said to have, by the start of its name."""
    cells: dict[str, dict[Any, Any]] = {}

    def entries(self: Command) -> dict[Any, Any]:
        return next((found for name, found in cells.items() if self.name.startswith(name)), {})

    monkeypatch.setattr(Command, "run", lambda self: 1.0)
    monkeypatch.setattr(Command, "entries", entries)
    return cells


@pytest.mark.parametrize(("retain", "passed"), [(0.85, True), (0.7, False)])
def test_saving_memory_may_not_cost_accuracy(
    setup: Setup, made_up: dict[str, Any], retain: float, passed: bool
) -> None:
    made_up |= {"plain": {("sst2", "ga-gd", 0): cell(0.9)}, "saving": {("sst2", "ga-gd", 0): cell(retain)}}
    for setting, method in runs.SAVERS.items():
        if method == "ga-gd":
            assert named(runs.steps(setup), f"with {setting}").run().passed is passed


@pytest.mark.parametrize(("retain", "passed"), [(0.5, True), (0.95, False)])
def test_rankings_are_those_of_the_cpu(setup: Setup, made_up: dict[str, Any], retain: float, passed: bool) -> None:
    base, best = cell(0.9), cell(0.9)
    cpu = {("sst2", "base", 0): base, ("sst2", "spul", 0): best, ("sst2", "ga", 0): cell(0.3)}
    made_up |= {"rankings-cpu": cpu, "rankings-device": cpu | {("sst2", "ga", 0): cell(retain)}}
    made_up["rankings-device"]["sst2", "spul", 0] = cell(0.8)
    assert named(runs.steps(setup), "rankings").run().passed is passed


@pytest.mark.parametrize("again", [False, True], ids=["left alone", "run again"])
def test_cells_finished_before_the_kill_are_left_alone(
    setup: Setup, made_up: dict[str, Any], monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """The run is a process that sleeps; what is read of it after the kill is what it had finished."""
    first, second = ("sst2", "base", 0), ("sst2", "ga-gd", 0)
    made_up |= {"unbroken": {first: cell(0.9), second: cell(0.8)}, "killed": {first: cell(0.9)}}

    def goes_on(self: Command) -> float:
        if self.name == "killed":
            made_up["killed"] = {first: cell(0.9, recorded=int(again)), second: cell(0.8)}
        return 0.1

    monkeypatch.setattr(Command, "run", goes_on)
    monkeypatch.setattr(Command, "start", lambda self: subprocess.Popen(["sleep", "60"], start_new_session=True))
    found = named(runs.steps(setup), "a killed run").run()
    assert found.passed is not again
    assert (found.values["finished before"], found.values["cells"]) == (1, 2)


def test_interrupted_command_leaves_no_process_behind(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    wait = process.wait

    def interrupted() -> int:
        raise KeyboardInterrupt

    process.wait = interrupted  # type: ignore[method-assign, assignment]
    monkeypatch.setattr(Command, "start", lambda self: process)
    with pytest.raises(KeyboardInterrupt):
        Command(setup, "any", (), "cpu").run()
    assert wait() == -signal.SIGKILL


def test_command_lines_are_valid(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[RunConfig] = []
    monkeypatch.setattr("unlearnbench.cli.run._run", lambda config, *rest, **options: seen.append(config) or 0)
    large = Setup("cuda", False, setup.output)
    lines = [one_task(setup), one_task(large), real.SMALL, *real.LEADERBOARDS.values()]
    lines += [(*one_task(setup), "--set", "checkpoint_seconds=0", "--jobs", "1")]
    lines += [("--preset", "quick", "--methods", method, "--set", setting) for setting, method in runs.SAVERS.items()]
    for line in lines:
        done = invoke("run", *line)
        assert done.exit_code == 0, done.output
    whole = seen[3]
    assert (whole.max_train, whole.max_test, whole.tuning.trials, whole.seeds) == (None, None, 8, (0, 1, 2))
    assert whole.set["sst2"]["split"] == "authors"


@pytest.mark.slow
def test_killed_run_continues_and_passes(setup: Setup) -> None:
    found = named(runs.steps(setup), "a killed run").run()
    assert found.passed is True
    assert found.values["cells"] == 4
