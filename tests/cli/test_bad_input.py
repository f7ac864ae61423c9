"""Wrong input gets one sentence that names it, exit code 2, no traceback, and leaves nothing half-done."""

from __future__ import annotations

import json
import os
import shutil
import string
import tarfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from typer.testing import Result

from tests.conftest import invoke
from unlearnbench.cli.options import fraction, names, number_or_word, numbers
from unlearnbench.cli.options import settings as read_settings
from unlearnbench.config import build_config
from unlearnbench.contract.source import DataSource
from unlearnbench.contract.task import Example
from unlearnbench.data.folder_task import FolderTask
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.files import from_json

SPLITS = ("train_forget", "train_retain", "test_forget", "test_retain")


def sentence_of(result: Result) -> str:
    """The one sentence of a refused command."""
    error = result.exception
    if isinstance(error, SystemExit) and result.exit_code == 2:
        # Typer's own refusal of an option's value.
        return " ".join(result.output.replace("│", " ").split())
    assert isinstance(error, UserError), f"exit code {result.exit_code}, {error!r}: {result.output}"
    assert "\n" not in str(error)
    return str(error)


OPTIONS: list[tuple[list[str], str]] = [
    (["--tasks", "ssst2"], "no task is called 'ssst2': did you mean 'sst2'?"),
    (["--tasks", "<b>x</b>"], "no task is called '<b>x</b>'"),
    (["--tasks", "../../etc/passwd"], "no task is called '../../etc/passwd'"),
    (["--tasks", ""], "'' names nothing"),
    (["--tasks", " , "], "names nothing"),
    (["--tasks", "arc"], "is a transfer task"),
    (["--tasks", "path:/nowhere/at/all"], "'/nowhere/at/all' does not exist"),
    (["--tasks", "path:"], "task folder . has no train_forget.csv"),
    (["--methods", "spull"], "did you mean 'spul'?"),
    (["--methods", "SPUL"], "did you mean 'spul'?"),
    (["--methods", "ga;rl"], "no method is called 'ga;rl'"),
    (["--models", "tinny"], "tinny"),
    (["--models", "/nowhere/model"], "/nowhere/model"),
    (["--models", "a b/c d", "--preset", "quick"], "a b/c d"),
    (["--preset", "quik"], "did you mean 'quick'?"),
    (["--seeds", "-1"], "--seeds is '-1', but must be whole numbers from 0"),
    (["--seeds", "1.5"], "--seeds is '1.5'"),
    (["--seeds", "zero"], "--seeds is 'zero'"),
    (["--seeds", "²"], "--seeds is '²'"),
    (["--seeds", "4294967296"], "setting 'seeds.0' is 4294967296: input should be less than 4294967296"),
    (["--trials", "-1"], "tuning.trials"),
    (["--trials", "many"], "'--trials'"),
    (["--max-train", "0"], "max_train"),
    (["--max-test", "-3"], "max_test"),
    (["--cell-timeout", "0"], "cell_timeout"),
    (["--cell-timeout", "nan"], "cell_timeout"),
    (["--shard", "0/2"], "--shard is '0/2'"),
    (["--shard", "3/2"], "--shard is '3/2'"),
    (["--shard", "half"], "--shard is 'half'"),
    (["--device", "cuda:99"], "cuda:99"),
    (["--device", "toaster"], "toaster"),
    (["--data-root", "/nowhere/at/all"], "/nowhere/at/all"),
    (["--generic-labels", "positive"], "positive"),
    (["--on-leakage", "ignore"], "on_leakage"),
    (["--tracking-uri", "gopher://x"], "gopher://x"),
    (["--config", "/nowhere.yaml"], "config file /nowhere.yaml can't be read"),
    (["--set", "spul.alpah=1"], "did you mean 'alpha'?"),
    (["--set", "spul.alpha=much"], "spul.alpha"),
    (["--set", "spul.learning_rate=nan"], "spul.learning_rate"),
    (["--set", "spul.learning_rate=inf"], "spul.learning_rate"),
    (["--set", "spul.learning_rate=-1"], "spul.learning_rate"),
    (["--set", "spul.learning_rate=0"], "spul.learning_rate"),
    (["--set", "spul.prompt_tokens=0"], "soft prompt has 0 virtual tokens"),
    (["--set", "spul.epochs=0"], "spul.epochs is 0"),
    (["--set", "ga.batch_size=-2"], "ga.batch_size is -2"),
    (["--set", "ga.batch_size=1.5"], "ga.batch_size"),
    (["--set", "npo-rt.beta=[1]"], "npo-rt"),
    (["--set", "nothing.x=1"], "no task or method is called 'nothing'"),
    (["--set", "alpha=1"], "unknown setting 'alpha'"),
    (["--set", "spul.alpha"], "must read KEY=VALUE or NAME.KEY=VALUE"),
    (["--set", "=1"], "must read KEY=VALUE or NAME.KEY=VALUE"),
    (["--set", "base.rank=0"], "base.rank"),
    (["--set", "base.kind=foo"], "base.kind"),
    (["--set", "base.kind=none", "--oracle"], "oracle is set, but base.kind is none"),
    (["--set", "base.dropout=1"], "base.dropout"),
    (["--set", "base.learning_rate=nan"], "base.learning_rate"),
    (["--set", "base.learning_rte=1"], "did you mean 'learning_rate'?"),
    (["--set", "model.dtype=float8"], "model.dtype"),
    (["--set", "model.context_length=1"], "model.context_length"),
    (["--set", "tuning.max_examples=0"], "tuning.max_examples"),
    (["--set", "sst2.unknown=1"], "task sst2 has no option 'unknown'"),
    (["--set", "yelp.clusters=0"], "yelp.clusters"),
    (["--set", "yelp.forget_clusters=99"], "forget_clusters"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "expected"), OPTIONS, ids=[" ".join(arguments) for arguments, _ in OPTIONS])
def test_wrong_options(arguments: list[str], expected: str, tmp_path: Path) -> None:
    defaults = {"--tasks": "sst2", "--methods": "spul"}
    if "yelp" in arguments[1]:
        defaults["--tasks"] = "yelp"
    filled = [word for option, value in defaults.items() if option not in arguments for word in (option, value)]
    found = sentence_of(invoke("run", *filled, "--results", tmp_path / "results", "--dry-run", *arguments))
    assert expected in found


def rows(**changes: object) -> dict[str, object]:
    return {"prompt": "### Text: fine", "answer": "positive", **changes}


def lines(*records: object) -> bytes:
    return "\n".join(json.dumps(record) for record in records).encode()


FILES: list[tuple[str, bytes | None, str]] = [
    ("train_forget.jsonl", None, "train_forget"),
    ("train_forget.jsonl", b"", "train_forget"),
    ("train_forget.jsonl", b"{", "train_forget.jsonl"),
    ("train_forget.jsonl", b'{"prompt": "a", "answer": "b"}\n{"prompt": ', "train_forget.jsonl"),
    ("train_forget.jsonl", b"[1, 2]", "train_forget.jsonl"),
    ("train_forget.jsonl", b'"text"', "train_forget.jsonl"),
    ("train_forget.jsonl", b'{"prompt": "a", "answer": "b"}\n1', "train_forget.jsonl"),
    ("train_forget.jsonl", lines({"prompt": "a"}), "answer"),
    ("train_forget.jsonl", lines({"answer": "a"}), "prompt"),
    ("train_forget.jsonl", lines(rows(prompt="")), "empty prompt"),
    ("train_forget.jsonl", lines(rows(answer="  ")), "empty answer"),
    ("train_forget.jsonl", lines(rows(prompt=3)), "prompt"),
    ("train_forget.jsonl", lines(rows(answer=None)), "answer"),
    ("train_forget.jsonl", b"\x00\xff\xfe\x80binary", "train_forget.jsonl"),
    ("train_forget.jsonl", "prompt\tanswer\n".encode("utf-16"), "train_forget.jsonl"),
    ("train_forget.parquet", b"PAR1 not really", "train_forget"),
    ("test_forget.jsonl", lines(rows(prompt="### Text: a warm and funny film again")), "test"),
]


@pytest.mark.parametrize(("name", "content", "expected"), FILES, ids=[f"{i}" for i in range(len(FILES))])
def test_wrong_data_files(
    name: str, content: bytes | None, expected: str, data_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    stem = name.partition(".")[0]
    training = (data_folder / "train_retain.jsonl").read_bytes()
    (data_folder / f"{stem}.jsonl").unlink()
    if content is not None:
        (data_folder / name).write_bytes(training if stem == "test_forget" else content)
    arguments = ["--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results"]
    assert expected in sentence_of(invoke("run", *arguments, "--methods", "ga"))
    assert not (tmp_path / "results" / "work").exists()


def remote_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"auto_map": {"AutoModelForCausalLM": "evil.Model"}, "model_type": "evil"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "evil.py").write_text("open('/tmp/unlearnbench-evil', 'w').close()\n", encoding="utf-8")


def only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    os.truncate(folder / "model.safetensors", 1000)


def without_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def broken_config(folder: Path) -> None:
    (folder / "config.json").write_text("{", encoding="utf-8")


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.slow
@pytest.mark.parametrize("harm", [remote_code, only_pickle, truncated, without_tokenizer, broken_config, empty])
def test_wrong_model_folders(
    harm: Callable[[Path], None], data_folder: Path, model_folder: Path, tmp_path: Path
) -> None:
    harm(model_folder)
    arguments = ["--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results"]
    result = invoke("run", *arguments, "--methods", "ga")
    if result.exit_code == 1 and not isinstance(result.exception, UserError):
        # Found while a cell ran: recorded as its failure.
        assert "failed: " in result.output
        assert "Traceback" not in result.output
    else:
        assert model_folder.name in sentence_of(result)
    assert not Path("/tmp/unlearnbench-evil").exists()


@pytest.mark.parametrize("text", ["9" * 5000, "1," + "9" * 5000, "9" * 5000 + "/2", "1/" + "9" * 5000])
def test_numbers_of_thousands_of_digits_are_refused(text: str) -> None:
    for read in (partial(numbers, "--seeds"), partial(fraction, "--shard")):
        with pytest.raises(UserError, match="^--s(eeds|hard) is '[19]") as refused:
            read(text)
        assert len(str(refused.value)) < 400
    assert number_or_word("9" * 5000) == "9" * 5000


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"tasks: [sst2", "is not valid YAML"),
        (b"- a\n- b\n", "must hold settings"),
        (b"just text", "must hold settings"),
        (b"\x00\x01\xff", "x.yaml"),
        (b"taks: [sst2]", "unknown setting 'taks': did you mean 'tasks'?"),
        (b"base: {rnk: 3}", "did you mean 'rank'?"),
        (b"seeds: [-1]", "seeds"),
        (b"tasks: !!python/object/apply:os.system ['true']", "is not valid YAML"),
        (b"forget_fraction: 0", "forget_fraction"),
        (b"checkpoint_seconds: -1", "checkpoint_seconds"),
        (b"tasks: {a: b}", "tasks"),
        (b"seeds: [0x" + b"f" * 6000 + b"]", "holds a value that can't be read: an integer has 24000 bits"),
        (b"seeds: [" + b":".join([b"59"] * 3000) + b"]", "holds a value that can't be read: an integer has 177"),
        (b"seeds: [" + b"9" * 5000 + b"]", "holds a value that can't be read"),
    ],
)
def test_wrong_configuration_files(content: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    assert expected in sentence_of(invoke("run", "--config", file, "--dry-run", "--results", tmp_path / "results"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["leaderboard", "--results", "nothing"], "holds no results"),
        (["leaderboard", "merge", "nothing", "--output", "x"], "nothing is no results folder"),
        (["compare", "nothing", "nothing"], "nothing is no results folder"),
        (["compare", "a"], "Missing argument"),
        (["study", "alpha-bta"], "alpha-bta"),
        (["study", "alpha-beta", "--methods", "ga", "--dry-run"], "method ga has no alpha"),
        (["study", "embedding", "--tasks", "ssst2"], "did you mean 'sst2'?"),
        (["ui", "--port", "0"], "'--port'"),
        (["check", "ga-gdd"], "did you mean"),
        (["new", "method", "A B"], "can't be the name"),
        (["list", "planets"], "planets"),
        (["data", "show", "ssst2"], "did you mean 'sst2'?"),
    ],
)
def test_wrong_commands(arguments: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in sentence_of(invoke(*arguments))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["rows.zip", "rows.tar.gz"])
def test_archives_are_refused_and_never_unpacked(name: str, tmp_path: Path, model_folder: Path) -> None:
    archive = tmp_path / "given" / name
    archive.parent.mkdir()
    if name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as packed:
            packed.writestr("../escaped.txt", "x")
    else:
        with tarfile.open(archive, "w:gz") as packed:
            packed.addfile(tarfile.TarInfo("../escaped.txt"))
    before = sorted(tmp_path.rglob("*"))
    results = ["--methods", "ga", "--results", tmp_path / "results", "--dry-run"]
    for arguments, expected in (
        (
            ["run", *results, "--tasks", f"path:{archive}", "--models", model_folder],
            "archives are not read, unpack them first",
        ),
        (["run", *results, "--tasks", "sst2", "--models", archive], "no model is called"),
        (["run", *results, "--tasks", "sst2", "--data-root", archive], str(archive)),
        (["compare", archive, archive], str(archive)),
    ):
        assert expected in sentence_of(invoke(*arguments))
    data_set = tmp_path / "hub" / "stanfordnlp" / "sst2"
    data_set.mkdir(parents=True)
    shutil.copy(archive, data_set)
    given = ["--tasks", "sst2", "--models", model_folder, "--data-root", tmp_path / "hub"]
    found = sentence_of(invoke("run", *results, *given))
    assert f"contains {name}: archives and pickles are not read" in found
    made = [path for path in sorted(tmp_path.rglob("*")) if path not in before and "hub" not in path.parts]
    assert not [path for path in made if "escaped" in path.name or path.parent == archive.parent]


def refused(read: Callable[[], object]) -> str | None:
    """The sentence with which something is refused; None where it is taken. Any other error fails the test."""
    try:
        read()
    except UserError as error:
        return str(error)
    return None


ODD = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(ODD)
def test_any_text_as_an_option_is_read_or_refused(text: str) -> None:
    for read in (names, partial(numbers, "--seeds"), partial(fraction, "--shard")):
        refused(partial(read, text))
    refused(lambda: read_settings([text]))


@QUICK
@given(
    st.dictionaries(ODD, st.one_of(st.none(), st.integers(), st.floats(), ODD, st.lists(ODD, max_size=2)), max_size=3)
)
def test_any_mapping_as_settings_is_read_or_refused(mapping: dict[str, object]) -> None:
    refused(lambda: build_config(mapping, {}))


@QUICK
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf{}")
@example(b'{"prompt": "a", "answer": "b", "group": 7}')
def test_any_bytes_as_a_data_file_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    for split in SPLITS:
        (tmp_path / f"{split}.jsonl").write_bytes(content)
    message = refused(lambda: FolderTask(tmp_path).splits(DataSource("bundled"), 0))
    assert message is None or str(tmp_path) in message


@pytest.mark.slow
@QUICK
@given(st.text(max_size=200))
def test_any_text_as_a_leaderboard_is_read_or_refused(text: str) -> None:
    with pytest.raises(UserError, match="x.json"):
        from_json(text, "x.json")


ODD_TEXTS = (
    "x" * 100_000,
    "naïve 🎬 ‮right-to-left‬ \u200b zero width",
    "tab\tand\rreturn and \x00 nul",
    "<script>alert(1)</script> | table | `code`",
    "日本語の映画 " * 50,
    " ",
)


@pytest.mark.slow
def test_odd_texts_run_to_a_leaderboard(data_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    """Very long and strange prompts, and duplicated rows, are data like any other."""
    for split in SPLITS:
        records = [{"prompt": f"### {split}: {text}.", "answer": "positive"} for text in ODD_TEXTS] * 2
        (data_folder / f"{split}.jsonl").write_bytes(lines(*records))
    outcome = invoke(
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results",
        "--methods", "spul", "--trials", 0, "--set", "base.kind=lora", "--set", "base.epochs=1", "--set",
        "spul.epochs=1", "--set", "model.context_length=128", "--set", "spul.prompt_tokens=10",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert invoke("leaderboard", "--results", tmp_path / "results", "--html").exit_code == 0
    html = (tmp_path / "results" / "leaderboard.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in html


@pytest.mark.slow
def test_answer_longer_than_the_context_is_named(data_folder: Path, model_folder: Path, tmp_path: Path) -> None:
    (data_folder / "test_retain.jsonl").write_bytes(lines(rows(prompt="### Text: other", answer="yes " * 200)))
    result = invoke(
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results",
        "--methods", "ga", "--set", "model.context_length=64",
    )  # fmt: skip
    assert "context" in (sentence_of(result) if isinstance(result.exception, UserError) else result.output)


def test_parquet_rows_are_read_like_lines(data_folder: Path) -> None:
    (data_folder / "test_retain.jsonl").unlink()
    pd.DataFrame([rows(prompt="### Text: x")]).to_parquet(data_folder / "test_retain.parquet")
    splits = FolderTask(data_folder).splits(DataSource("bundled"), 0)
    assert splits.test_retain == (Example("### Text: x", "positive", "### Text: x"),)


def test_messages_never_show_a_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token = "hf_" + string.ascii_letters[:34]
    monkeypatch.setenv("HF_TOKEN", token)
    found = invoke("run", "--tasks", "sst2", "--models", "nobody/nothing", "--data-root", "bundled", "--dry-run",
                   "--results", tmp_path / "results")  # fmt: skip
    assert token not in found.output + str(found.exception)
