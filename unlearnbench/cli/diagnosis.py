"""What this machine can run, what is missing, and the remedy."""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from unlearnbench.config import DEFAULT_PRESET, RunConfig, build_config, preset_names
from unlearnbench.errors import UserError, first_line
from unlearnbench.models.loading import compute_dtype, model_size, pick_device, precision
from unlearnbench.models.memory import GIB, LIBRARIES_BYTES, peak_bytes
from unlearnbench.models.resolve import find_model, resolve
from unlearnbench.models.threads import WEIGHTS_PER_THREAD, asked_threads, cores, wait_setting
from unlearnbench.plugins import Registry
from unlearnbench.storage.cache import cache_root

Status = Literal["ok", "limited", "missing"]


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        status: "limited" hinders some runs, "missing" hinders the subject altogether.
        remedy: what to do about it, empty when all is well.
    """

    subject: str
    status: Status
    found: str
    remedy: str = ""


def examine(registry: Registry, results: Path) -> list[Finding]:
    """All findings; presets last."""
    findings = [
        _python(),
        *_packages(),
        _device(),
        _threads(),
        _memory(),
        _four_bit(),
        _folder("cache folder", cache_root(), "set UNLEARNBENCH_CACHE to a folder that can be written"),
        _folder("results folder", results, "name a folder that can be written with --results"),
        _hub(),
        *(Finding("plugin", "limited", problem, "mend or uninstall it") for problem in registry.problems),
    ]
    hub = next(finding for finding in findings if finding.subject == "Hugging Face hub")
    return findings + [_preset(name, registry, hub.status == "ok") for name in preset_names()]


def blocks_quick_preset(finding: Finding) -> bool:
    """Whether the default preset can't run: something needed by all runs, or by this one, is missing."""
    others = {f"preset {name}" for name in preset_names() if name != DEFAULT_PRESET}
    return finding.status == "missing" and finding.subject not in others


def _python() -> Finding:
    found = platform.python_version()
    supported = (3, 11) <= tuple(map(int, platform.python_version_tuple()[:2])) <= (3, 13)
    return Finding("Python", "ok" if supported else "limited", found, "" if supported else "use Python 3.11 to 3.13")


def _packages() -> Iterator[Finding]:
    """Requirements of the installed distribution that are absent or too old, or one line that all are there."""
    from packaging.requirements import Requirement

    needed = [Requirement(line) for line in requires("unlearnbench") or []]
    needed = [requirement for requirement in needed if requirement.marker is None or requirement.marker.evaluate()]
    lacking = []
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            lacking.append(Finding(requirement.name, "missing", "not installed", f"pip install '{requirement}'"))
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            lacking.append(Finding(requirement.name, "missing", found, f"pip install --upgrade '{requirement}'"))
    yield from lacking
    if not lacking:
        shown = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft", "datasets"))
        yield Finding("packages", "ok", f"all {len(needed)} are installed ({shown})")


def _device() -> Finding:
    import torch

    config = RunConfig()
    device = pick_device(config.model)
    dtype = str(compute_dtype(config.model, device)).removeprefix("torch.")
    if device.type == "cuda":
        names = ", ".join(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
        return Finding("device", "ok", f"{names}; matrix products in {dtype}")
    found = f"CPU, {cores()} cores; matrix products in {dtype}"
    remedy = "models of a billion weights and more need a CUDA GPU"
    if torch.version.cuda:
        remedy += ": torch was built for CUDA, but sees no GPU; check the driver with nvidia-smi"
    return Finding("device", "limited", found, remedy)


def _threads() -> Finding:
    """How many CPU threads compute, and how they wait for one another."""
    per_size = f"one per {WEIGHTS_PER_THREAD / 1e6:.0f}M weights of a model, at least 1 and at most {cores()}"
    asked = asked_threads()
    count = per_size if asked is None else f"{asked} (OMP_NUM_THREADS)"
    return Finding("threads", "ok", f"{count}, unless model.threads says otherwise; {wait_setting()}")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    enough = memory.available >= LIBRARIES_BYTES
    return Finding(
        "memory",
        "ok" if enough else "limited",
        f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free{_gpu_memory()}",
        "" if enough else f"close other programs: the libraries alone take about {LIBRARIES_BYTES / GIB:.1f} GiB",
    )


def _gpu_memory() -> str:
    import torch

    if not torch.cuda.is_available():
        return ""
    free, total = torch.cuda.mem_get_info()
    return f"; GPU {free / GIB:.1f} of {total / GIB:.1f} GiB free"


def _four_bit() -> Finding:
    """Multiplies with NF4 weights: bitsandbytes installs without complaint where its kernels then fail."""
    import torch

    try:
        from bitsandbytes.nn import Linear4bit

        layer = Linear4bit(64, 64, quant_type="nf4").to(pick_device(RunConfig().model))
        layer(torch.zeros(1, 64, device=layer.weight.device))
    except Exception as error:  # kernels fail in many ways; each means that 4-bit weights can't be used
        return Finding("4-bit weights", "limited", first_line(error), "fine-tune base models with --set base.kind=lora")
    return Finding("4-bit weights", "ok", f"bitsandbytes {version('bitsandbytes')} multiplies NF4 here")


def _folder(subject: str, folder: Path, remedy: str) -> Finding:
    existing = next(parent for parent in (folder.resolve(), *folder.resolve().parents) if parent.is_dir())
    free = f"{shutil.disk_usage(existing).free / GIB:.1f} GiB free"
    try:
        with tempfile.TemporaryFile(dir=existing):
            return Finding(subject, "ok", f"{folder}, {free}")
    except OSError as error:
        return Finding(subject, "missing", f"{folder} ({error.strerror})", remedy)


def _hub() -> Finding:
    from huggingface_hub import constants, get_token
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    try:
        get_session().head(constants.ENDPOINT, timeout=5).raise_for_status()
    except Exception as error:  # the hub client's transport raises its own errors
        remedy = "check the network; meanwhile use --data-root FOLDER (hub layout) and models on this machine"
        return Finding("Hugging Face hub", "limited", f"{constants.ENDPOINT} not reached ({first_line(error)})", remedy)
    login = "logged in" if get_token() else "not logged in (gated models need `hf auth login`)"
    return Finding("Hugging Face hub", "ok", f"{constants.ENDPOINT} answers, {login}")


def _preset(name: str, registry: Registry, hub: bool) -> Finding:
    """Whether a preset's data, models and memory are at hand."""
    subject, config = f"preset {name}", build_config({}, {"preset": name})
    if config.data_root == "hub" and not hub:
        remedy = "connect to the hub, or put its data sets into a folder and name it with --data-root"
        return Finding(subject, "missing", "its data is on the Hugging Face hub", remedy)
    try:
        needed = max(_peak_bytes(config, name, registry) for name in config.models)
    except UserError as error:
        return Finding(subject, "missing", f"model {', '.join(config.models)} can't be had", str(error))
    available = _available_bytes(config)
    found = f"{', '.join(config.models)}: about {needed / GIB:.1f} GiB of {available / GIB:.1f} GiB free memory"
    if needed <= available:
        return Finding(subject, "ok", found)
    remedy = (
        "run only methods that keep weights frozen (--methods spul, --set model.frozen_4bit=true), "
        "name a smaller model with --models, or use a machine with more memory"
    )
    return Finding(subject, "limited", found, remedy)


def _peak_bytes(config: RunConfig, model: str, registry: Registry) -> float:
    """Memory of a method that trains all weights, the heaviest of a grid, in passes of full size."""
    device = pick_device(config.model)
    dtype = str(compute_dtype(config.model, device)).removeprefix("torch.")
    tokens = config.model.tokens_per_pass or precision(config.model).tokens_per_pass
    size = model_size(resolve(find_model(model, registry.models)))
    return LIBRARIES_BYTES + peak_bytes(size, config.model, dtype, tokens, trains_weights=True)


def _available_bytes(config: RunConfig) -> int:
    import psutil
    import torch

    if pick_device(config.model).type == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return int(psutil.virtual_memory().available)
