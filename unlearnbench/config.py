"""The configuration of a run: presets, YAML files and flags all end here. Unknown keys are errors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from unlearnbench.contract.source import DataRoot
from unlearnbench.contract.task import GENERIC_LABELS
from unlearnbench.errors import UserError, nearest
from unlearnbench.identity.ids import ForgetTarget

DEFAULT_PRESET = "quick"
# For models and data that preset quick was not made for.
DEFAULT_PRESET_ELSEWHERE = "small"

Design = Literal["spread", "random"]
Keep = Literal["last", "best"]
OnLeakage = Literal["error", "drop-from-train"]
# NumPy and scikit-learn take seeds of 32 bits.
Seed = Annotated[int, Field(ge=0, lt=2**32)]


# A value of a hyper-parameter or option; several are what tuning is to search: two ends of a range, or a list.
Setting = bool | int | float | str | tuple[bool | int | float | str, ...]


class Section(BaseModel):
    """Base of all configuration sections: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Section):
    """How models are loaded and run."""

    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:N")
    device_map: str | None = Field(default=None, description="how Accelerate spreads one model over several devices")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="precision of the weights")
    compute_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="precision of matrix products; auto: bfloat16 if the device multiplies it natively, else float32",
    )
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = Field(
        default="auto", description="implementation of attention; auto: that of transformers"
    )
    frozen_4bit: bool = Field(default=False, description="hold weights that a method keeps frozen in NF4")
    gradient_checkpointing: bool = Field(default=False, description="recompute activations to save memory")
    optimiser: Literal["adamw", "adamw-8bit", "paged-adamw-8bit"] = Field(
        default="adamw", description="for all weights; LoRA and soft prompts are too small to need 8 bits"
    )
    context_length: int = Field(default=1024, ge=8, description="tokens of a row, at most; longer texts are cut")
    tokens_per_pass: int | None = Field(default=None, ge=1, description="tokens in one forward pass")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads; None: OMP_NUM_THREADS, or as many as suit the model"
    )


class BaseConfig(Section):
    """How the base model is fine-tuned until it has memorised the training splits (protocol, stage 2)."""

    kind: Literal["qlora", "lora", "full", "none"] = Field(
        default="qlora",
        description="LoRA on 4-bit weights, LoRA, or all weights; none: the model is taken as it is, since it "
        "knows the rows already",
    )
    rank: int = Field(default=16, ge=1, description="of LoRA")
    alpha: int = Field(default=64, ge=1, description="LoRA's scale: its update is multiplied by alpha / rank")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="of LoRA's input")
    target_modules: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="modules that LoRA adapts; if not set, queries and values by the model's own names",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="AdamW's, at its peak; if not set, by the model's size and by whether LoRA or all weights train",
    )
    warmup_ratio: float = Field(default=0.05, ge=0, le=1, description="share of the steps until that peak")
    weight_decay: float = Field(default=0.001, ge=0, description="AdamW's")
    max_grad_norm: float = Field(default=0.3, gt=0, description="gradients are clipped to this norm")
    batch_size: int = Field(default=32, ge=1, description="examples of a step")
    epochs: int | None = Field(
        default=None, ge=1, description="passes over the data; if not set, the task's own number"
    )


class TuningConfig(Section):
    """How hyper-parameters are searched, on training splits only."""

    trials: int = Field(default=3, ge=0, description="trials of each cell; 0 takes the defaults")
    design: Design = Field(default="spread", description="how the trials after the first, before TPE's, are placed")
    scope: Literal["seed", "grid"] = Field(
        default="seed", description="seed: each seed is tuned; grid: the first one, and the others take its values"
    )
    max_examples: int = Field(
        default=512, ge=1, description="examples of each training split, at most, by which a trial is judged"
    )
    keep: Keep = Field(
        default="last",
        description="model of a training that counts: the last, or the best of those measured at curve_points",
    )
    curve_points: int = Field(
        default=8,
        ge=0,
        le=100,
        description="points of a training, at most, at which answers are looked at on the way; 0: none",
    )


class RunConfig(Section):
    """Everything that decides the results of a run, and where they go."""

    preset: str = Field(default=DEFAULT_PRESET, description="settings to start from: quick, small or paper")
    tasks: tuple[str, ...] = Field(
        default=("all",), description="names, path:PATH for own data (a table, or a folder), or all"
    )
    methods: tuple[str, ...] = Field(default=("all",), description="names, or all")
    models: tuple[str, ...] = Field(default=("tiny",), description="short names, hub ids or folders")
    seeds: tuple[Seed, ...] = Field(default=(0,), description="of base models, trainings and tuning")
    oracle: bool = Field(
        default=False, description="also train the base model's recipe on the retain set alone: row Retrain"
    )
    results: Path = Field(default=Path("results"), description="folder of the stores and the leaderboard")
    tracking_uri: str | None = Field(default=None, description="MLflow server or store outside the results folder")
    optuna_storage: str | None = Field(default=None, description="URL of a database for tuning studies")
    data_root: DataRoot = Field(default="hub", description="hub, bundled (generated rows), or a folder in hub layout")
    max_train: int | None = Field(default=None, ge=1, description="examples of each training split, at most")
    max_test: int | None = Field(default=None, ge=1, description="examples of each test split, at most")
    forget_fraction: float = Field(
        default=1.0, gt=0, le=1, description="share of the training forget examples that methods get to see"
    )
    split_seed: Seed = Field(default=0, description="of splits and samples; all seeds share one split")
    on_leakage: OnLeakage = Field(
        default="error", description="what to do about training examples that are also in a test split"
    )
    forget_target: ForgetTarget | None = Field(
        default=None,
        description="forget accuracy to aim at: oracle (a model retrained without the forget set), chance or zero; if "
        "not set, the task's own",
    )
    generic_labels: tuple[str, ...] = Field(
        default=GENERIC_LABELS, description="answers that methods teach for forget examples"
    )
    keep_models: bool = Field(
        default=False, description="keep unlearned weights, and the base model behind a soft prompt"
    )
    jobs: int | Literal["auto"] = Field(
        default="auto", description="processes of this machine that share the cells: a number, or as many as it bears"
    )
    checkpoint_seconds: float = Field(default=600.0, ge=0, description="seconds between two snapshots of a training")
    cell_timeout: float | None = Field(default=None, gt=0, description="seconds after which a cell is given up")
    model: ModelConfig = ModelConfig()
    base: BaseConfig = BaseConfig()
    tuning: TuningConfig = TuningConfig()
    set: dict[str, dict[str, Setting]] = Field(
        default_factory=dict, description="options of tasks and fixed hyper-parameters of methods, by name"
    )

    @field_validator("jobs", mode="before")
    @classmethod
    def _is_a_number_of_jobs(cls, value: Any) -> Any:
        if value != "auto" and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise PydanticCustomError("jobs", "must be a whole number from 1, or auto")
        return value


# Where results lie and how many processes made them says nothing about them, and a database's URL may hold a password.
LOCAL_SETTINGS = ("results", "tracking_uri", "optuna_storage", "keep_models", "jobs")


def preset_names() -> list[str]:
    """Names of the presets in the package."""
    return sorted(
        path.name.removesuffix(".yaml")
        for path in files("unlearnbench.presets").iterdir()
        if path.name.endswith(".yaml")
    )


def read_preset(name: str) -> dict[str, Any]:
    """The preset's settings."""
    if name not in preset_names():
        raise UserError(f"no preset is called {name!r}: {nearest(name, preset_names())}")
    text = (files("unlearnbench.presets") / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(load_yaml(text))


def default_preset(settings: Mapping[str, Any]) -> str:
    """The preset where none is named: quick, unless the settings name other data or models than it has."""
    quick = read_preset(DEFAULT_PRESET)
    own_data = any(str(name).startswith("path:") for name in settings.get("tasks") or ())
    fits = not own_data and all(settings.get(key) in (None, quick[key]) for key in ("models", "data_root"))
    return DEFAULT_PRESET if fits else DEFAULT_PRESET_ELSEWHERE


def preset_statement(name: str) -> str:
    """What the preset is and what its numbers are worth."""
    return str(read_preset(name)["statement"])


# Far below Python's limit of 4,300 decimal digits.
LARGEST_BITS = 4096


class _Loader(yaml.SafeLoader):
    """Reads 1e-4 as a number, as YAML 1.2 does; YAML 1.1, PyYAML's, reads it as text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    """Hexadecimal and sexagesimal integers may have more digits than Python writes in decimal, as a message would."""
    value: int = loader.construct_yaml_int(node)
    if value.bit_length() > LARGEST_BITS:
        raise ValueError(f"an integer has {value.bit_length()} bits")
    return value


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def load_yaml(text: str) -> Any:
    """The value that YAML text stands for; no tag creates anything but plain data."""
    return yaml.load(text, _Loader)


def read_file(path: Path) -> dict[str, Any]:
    """Settings from a YAML file."""
    try:
        loaded = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"config file {path} can't be read: {error}.") from None
    except RecursionError:
        raise UserError(f"config file {path} is nested too deeply: no setting has more than a few levels.") from None
    except ValueError as error:
        raise UserError(f"config file {path} holds a value that can't be read: {error}.") from None
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UserError(f"config file {path}{line} is not valid YAML: {getattr(error, 'problem', error)}.") from None
    if not isinstance(loaded, dict):
        raise UserError(f"config file {path} must hold settings like 'tasks: [sst2]', not {type(loaded).__name__}.")
    return loaded


def build_config(file: Mapping[str, Any], flags: Mapping[str, Any]) -> RunConfig:
    """Preset, then file, then flags; later ones win, section by section.

    Raises:
        UserError: an unknown key (with the nearest name) or a value out of range.
    """
    preset = str(flags.get("preset") or file.get("preset") or default_preset({**file, **flags}))
    settings = {key: value for key, value in read_preset(preset).items() if key != "statement"}
    for layer in (file, flags, {"preset": preset}):
        settings = _merged(settings, layer)
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        raise UserError(_explain(error)) from None


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if nested else value
    return merged


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        section: type[BaseModel] = RunConfig
        for part in path[:-1]:
            annotation = section.model_fields[part].annotation
            assert isinstance(annotation, type)
            section = annotation
        return f"unknown setting {'.'.join(path)!r}: {nearest(path[-1], section.model_fields)}"
    return f"setting {'.'.join(path)!r} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}."


def dump_config(config: RunConfig) -> str:
    """The configuration as YAML that `--config` reads back to an equal one."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def dump_experiment(config: RunConfig) -> str:
    """Like `dump_config`, without `LOCAL_SETTINGS`."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude=set(LOCAL_SETTINGS)), sort_keys=False)
