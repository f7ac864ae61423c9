"""Silences the libraries that we use, so that they do not disturb our own display."""

from __future__ import annotations

import logging
import os
import warnings


def quiet_libraries() -> None:
    """Turns off progress bars and hints of the libraries that we use, which would disturb our own display."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|peft|optuna)\.")
    import datasets
    import transformers

    logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
