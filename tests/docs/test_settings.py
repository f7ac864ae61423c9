"""The reference of settings is complete: every setting is described, and says what may be given."""

from __future__ import annotations

import pytest

from unlearnbench.config import BaseConfig, ModelConfig, RunConfig, Section, TuningConfig


@pytest.mark.parametrize("section", [RunConfig, ModelConfig, BaseConfig, TuningConfig])
def test_every_setting_is_described(section: type[Section]) -> None:
    nested = {"model", "base", "tuning"}
    missing = [name for name, field in section.model_fields.items() if not field.description and name not in nested]
    assert not missing
