"""All that a plugin author imports."""

from unlearnbench.batch import Batch, KLDirection, Part
from unlearnbench.data.checks import settled
from unlearnbench.data.sampling import split_by_text
from unlearnbench.data.source import DataSource, GeneratedRows, HubDataset
from unlearnbench.errors import UserError
from unlearnbench.hookspecs import hookimpl
from unlearnbench.hyperparameters import Choice, Fixed, LogUniform
from unlearnbench.method import Method, SoftPrompt
from unlearnbench.metrics import Metric, Predictions
from unlearnbench.models.spec import ModelSpec
from unlearnbench.progress import track, working
from unlearnbench.task import GENERIC_LABELS, Example, Splits, Task, TaskOptions, TransferTask

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
