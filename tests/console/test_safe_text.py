"""Text from strangers is made safe to show, and secrets are hidden."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlearnbench.console.safe_text import printable, safe, without_credentials
from unlearnbench.errors import UserError

CONTROL = "\x1b]0;title\x07 \x9b31m \r\n\t\x00 \u202egnp.exe \u2028"


def test_terminal_control_sequences_are_escaped() -> None:
    shown = printable(CONTROL)
    assert shown == r"\x1b]0;title\x07 \x9b31m \r\n\t\x00 \u202egnp.exe \u2028"
    assert printable("a\nb\rc", lines=True) == "a\nb\\rc"


@pytest.mark.parametrize("text", ["naïve Grüße 数据 🙂 ± ≈ ↑", "a\u00a0b\u3000c", ""])
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert safe(text) == text


@given(st.text())
def test_every_text_becomes_one_printable_line(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://user:s3cr3t@host:5000/x can't be opened",
        "https://user:s3c@r3t/s3cr3t@host/x",
        "postgresql+psycopg2://me:s3cr3t@db/studies",
        "mysql://db/studies?user=me&password=s3cr3t&ssl=1",
        "mssql+pyodbc:///?odbc_connect=DRIVER=x;UID=me;PWD=s3cr3t;",
        "header Authorization: Bearer s3cr3t.s3cr3t",
        "https://store/x?X-Amz-Security-Token=s3cr3t&sig=s3cr3t",
        "token=s3cr3t",
    ],
)
def test_credentials_are_hidden(text: str) -> None:
    shown = without_credentials(text)
    assert "s3c" not in shown
    assert "r3t" not in shown
    assert "***" in shown


def test_values_of_secret_variables_are_hidden_wherever_they_appear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "correct horse")
    monkeypatch.setenv("HF_TOKEN", "a")
    assert without_credentials("the server said 'correct horse' is wrong") == "the server said '***' is wrong"


def test_urls_without_credentials_are_unchanged() -> None:
    text = "https://host/a?page=2#x, sqlite:///r/mlflow.db, tokens=3 and someone@example.org"
    assert without_credentials(text) == text


def test_message_for_a_user_is_clean() -> None:
    error = UserError("folder \x1b[2J\nerror: all is well, at http://me:secret@host")
    assert str(error) == r"folder \x1b[2J\nerror: all is well, at http://***@host"
