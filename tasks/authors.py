"""Base class of the tasks that can read the splits published by the paper's authors."""

from __future__ import annotations

from typing import ClassVar, Literal

from unlearnbench.api import DataSource, HubDataset, Task, TaskOptions, UserError


class AuthorsOptions(TaskOptions):
    """Splits made here with the run's split seed, or published by the paper's authors."""

    split: Literal["seeded", "authors"] = "seeded"


class AuthorsTask(Task):
    """A task whose splits are made here, or read as the authors published them.

    Attributes:
        authors: the data set of the published splits.
    """

    authors: ClassVar[HubDataset]
    Options = AuthorsOptions
    options: AuthorsOptions

    @property
    def published(self) -> bool:
        return self.options.split == "authors"

    def data_identity(self, source: DataSource) -> str:
        """The identity of the data sets from which the splits are made, or of the published splits.

        Raises:
            UserError: the data source does not have them.
        """
        if not self.published:
            return super().data_identity(source)
        try:
            return source.identity(self.authors)
        except UserError as error:
            raise UserError(f"{error} Or use splits that are made here: --set {self.name}.split=seeded.") from None
