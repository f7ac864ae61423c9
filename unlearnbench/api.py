"""All that a plugin author imports."""

from unlearnbench.console.progress import track, working
from unlearnbench.contract.batch import Batch, KLDirection, Part
from unlearnbench.contract.hyperparameters import Choice, Fixed, LogUniform
from unlearnbench.contract.method import Method, SoftPrompt
from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.contract.source import DataSource, GeneratedRows, HubDataset
from unlearnbench.contract.task import GENERIC_LABELS, Example, Splits, Task, TaskOptions, TransferTask
from unlearnbench.data.checks import settled
from unlearnbench.data.sampling import split_by_text
from unlearnbench.errors import UserError
from unlearnbench.hookspecs import hookimpl

__all__ = [
    "GENERIC_LABELS",
    "Batch",
    "Choice",
    "DataSource",
    "Example",
    "Fixed",
    "GeneratedRows",
    "HubDataset",
    "KLDirection",
    "LogUniform",
    "Method",
    "Metric",
    "ModelSpec",
    "Part",
    "Predictions",
    "SoftPrompt",
    "Splits",
    "Task",
    "TaskOptions",
    "TransferTask",
    "UserError",
    "hookimpl",
    "settled",
    "split_by_text",
    "track",
    "working",
]
