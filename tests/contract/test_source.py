"""Reading data sets in hub layout, and error messages if that fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from unlearnbench.contract.source import DataSource, HubDataset
from unlearnbench.errors import UserError
from unlearnbench.storage.cache import cache_root

DATASET = HubDataset("owner/reviews", revision="abc")
CARD = "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*\n---\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "hub" / "owner" / "reviews"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    frame = pd.DataFrame({"sentence": ["good", "bad"], "label": [1, 0], "extra": [0, 0]})
    frame.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return tmp_path / "hub"


def test_split_has_the_requested_columns(root: Path) -> None:
    frame = DataSource(root).load(DATASET, "train", ("label", "sentence"))
    assert frame.to_dict("list") == {"label": [1, 0], "sentence": ["good", "bad"]}


def test_identity_is_the_hub_revision_or_a_hash_of_the_folder(root: Path) -> None:
    assert DataSource("hub").identity(DATASET) == "owner/reviews@abc"
    before = DataSource(root).identity(DATASET)
    pd.DataFrame({"sentence": ["x"], "label": [1]}).to_parquet(
        root / "owner" / "reviews" / "data" / "train-00000-of-00001.parquet"
    )
    assert DataSource(root).identity(DATASET) != before


@pytest.mark.parametrize("name", ["README.md", "more.tsv", "more.arrow", "more.txt"])
def test_every_file_of_a_folder_changes_its_identity(root: Path, name: str) -> None:
    before = DataSource(root).identity(DATASET)
    (root / "owner" / "reviews" / name).write_text("else", encoding="utf-8")
    assert DataSource(root).identity(DATASET) != before


def test_hidden_files_do_not_change_the_identity(root: Path) -> None:
    """Such as the metadata that a download leaves behind."""
    before = DataSource(root).identity(DATASET)
    (root / "owner" / "reviews" / ".cache").mkdir()
    (root / "owner" / "reviews" / ".cache" / "x.lock").touch()
    assert DataSource(root).identity(DATASET) == before


@pytest.mark.parametrize(
    ("dataset", "split", "columns", "message"),
    [
        (DATASET, "train", ("sentence", "polarity"), "has no column 'polarity' .it has sentence, label, extra"),
        (DATASET, "test", ("sentence",), "owner/reviews can't be read .*split 'test'"),
        (HubDataset("owner/other", "abc"), "train", ("sentence",), "has no folder owner/other"),
    ],
)
def test_missing_parts_are_reported(
    root: Path, dataset: HubDataset, split: str, columns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        DataSource(root).load(dataset, split, columns)


@pytest.mark.parametrize(
    "content", [b"sentence,label\n\xe9,1\n", b"sentence,label\na,1\nb,2,3,4\n"], ids=["latin-1", "ragged"]
)
def test_broken_files_are_one_sentence(root: Path, content: bytes) -> None:
    folder = root / "owner" / "reviews"
    (folder / "data" / "train-00000-of-00001.parquet").unlink()
    (folder / "data" / "train-0.csv").write_bytes(content)
    with pytest.raises(UserError, match="owner/reviews can't be read"):
        DataSource(root).load(DATASET, "train", ("sentence",))


def test_damaged_copy_of_the_rows_is_made_again(root: Path) -> None:
    before = DataSource(root).load(DATASET, "train", ("sentence", "label"))
    (copy,) = (cache_root() / "datasets").rglob("*.parquet")
    whole = copy.read_bytes()
    for place in (len(whole) // 3, len(whole) // 2):
        copy.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        pd.testing.assert_frame_equal(DataSource(root).load(DATASET, "train", ("sentence", "label")), before)
        assert copy.read_bytes() == whole
    assert [folder.name for folder in cache_root().iterdir()] == ["datasets"]


def test_unreachable_hub_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(**_: object) -> None:
        raise ConnectionError("Couldn't reach 'owner/reviews' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"can't be read from the Hugging Face hub.*--data-root"):
        DataSource("hub").load(DATASET, "train", ("sentence",))


def test_everything_that_determines_the_rows_is_in_the_identity(root: Path, tmp_path: Path) -> None:
    folder = root / "owner" / "reviews"
    seen = [DataSource(root).identity(DATASET)]
    for name in ("README.md", "data/more.tsv", "data/more.arrow", "data/more.txt", "data/NO_SUFFIX"):
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        seen.append(DataSource(root).identity(DATASET))
    assert len(set(seen)) == len(seen)


def test_changed_rows_behind_a_symbolic_link_are_noticed(root: Path, tmp_path: Path) -> None:
    folder = root / "owner" / "reviews"
    (folder / "data").rename(tmp_path / "elsewhere")
    (folder / "data").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    before = DataSource(root).identity(DATASET)
    assert len(DataSource(root).load(DATASET, "train", ("sentence",))) == 2
    frame = pd.DataFrame({"sentence": ["x", "y", "z"], "label": [1, 0, 1]})
    frame.to_parquet(tmp_path / "elsewhere" / "train-00000-of-00001.parquet")
    assert DataSource(root).identity(DATASET) != before
    assert len(DataSource(root).load(DATASET, "train", ("sentence",))) == 3


def test_link_that_leads_back_into_the_folder_is_reported(root: Path) -> None:
    folder = root / "owner" / "reviews"
    (folder / "data" / "again").symlink_to(folder, target_is_directory=True)
    with pytest.raises(UserError, match="nested too deep"):
        DataSource(root).identity(DATASET)


@pytest.mark.parametrize(
    "place",
    [
        "../other/train.parquet",
        "data/../../other/train.parquet",
        "/etc/passwd",
        "~/rows.csv",
        "file:/etc/passwd",
        "local:/etc/passwd",
        "zip://rows.csv::data/rows.bin",
        "http://localhost:1/rows.csv",
        "hf://datasets/other/rows/train.parquet",
    ],
)
@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
def test_readme_that_names_files_outside_its_folder_is_rejected(root: Path, place: str, name: str) -> None:
    for files in (
        f"data_files: {place!r}",
        f"data_files:\n  - split: train\n    path: [{place!r}]",
        f"data_dir: {place!r}",
    ):
        header = f"configs:\n- config_name: default\n  {files}\n"
        text = f"---\n{header}---\n" if name == "README.md" else header
        (root / "owner" / "reviews" / name).write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match="only files in the data set's own folder are read"):
            DataSource(root).load(DATASET, "train", ("sentence",))


def test_the_newest_revision_is_looked_up_once_and_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[str] = []

    def dataset_info(_: object, path: str) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(sha="0123")

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
    unpinned = HubDataset("owner/unpinned", revision=None)
    assert [DataSource("hub").identity(unpinned) for _ in range(2)] == ["owner/unpinned@0123"] * 2
    assert asked == ["owner/unpinned"]


def test_error_for_an_unreachable_revision_names_the_remedy() -> None:
    # The tests run with the hub switched off.
    with pytest.raises(UserError, match=r"owner/nowhere can't be read from the Hugging Face hub.*--data-root"):
        DataSource("hub").identity(HubDataset("owner/nowhere", revision=None))
