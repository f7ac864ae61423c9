"""What a result was computed with: package versions and hardware."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from unlearnbench.models.threads import wait_setting

PACKAGES = ("unlearnbench", "torch", "transformers", "peft", "bitsandbytes", "datasets", "optuna", "scikit-learn")


def environment() -> dict[str, str]:
    """Versions and hardware as tags. Names of machines and users are not among them."""
    import torch

    facts = {f"version.{name}": _version(name) for name in PACKAGES}
    facts["version.python"] = platform.python_version()
    facts["hardware.cpu"] = f"{cpu_name()}, {os.cpu_count()} CPUs"
    facts["hardware.openmp"] = wait_setting()
    if torch.cuda.is_available():
        facts["hardware.gpu"] = f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def cpu_name() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
