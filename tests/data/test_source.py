"""Reading data sets in hub layout, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from unlearnbench.data.source import DataSource, HubDataset
from unlearnbench.errors import UserError

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


def test_split_with_the_asked_columns(root: Path) -> None:
    frame = DataSource(root).load(DATASET, "train", ("label", "sentence"))
    assert frame.to_dict("list") == {"label": [1, 0], "sentence": ["good", "bad"]}


def test_identity_is_the_revision_on_the_hub_and_the_bytes_in_a_folder(root: Path) -> None:
    assert DataSource("hub").identity(DATASET) == "owner/reviews@abc"
    before = DataSource(root).identity(DATASET)
    pd.DataFrame({"sentence": ["x"], "label": [1]}).to_parquet(
        root / "owner" / "reviews" / "data" / "train-00000-of-00001.parquet"
    )
    assert DataSource(root).identity(DATASET) != before


@pytest.mark.parametrize(
    ("dataset", "split", "columns", "message"),
    [
        (DATASET, "train", ("sentence", "polarity"), "has no column 'polarity' .it has sentence, label, extra"),
        (DATASET, "test", ("sentence",), "owner/reviews can't be read .*split 'test'"),
        (HubDataset("owner/other", "abc"), "train", ("sentence",), "has no folder owner/other"),
    ],
)
def test_what_is_missing_is_named(
    root: Path, dataset: HubDataset, split: str, columns: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        DataSource(root).load(dataset, split, columns)


def test_unreachable_hub_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def refuse(**_: object) -> None:
        raise ConnectionError("Couldn't reach 'owner/reviews' on the Hub")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"can't be read from the Hugging Face hub.*--data-root"):
        DataSource("hub").load(DATASET, "train", ("sentence",))
