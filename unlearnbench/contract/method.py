"""The base class of unlearning methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from unlearnbench.contract.batch import Batch, PartName, ReferenceKind
from unlearnbench.contract.hyperparameters import Fixed, LogUniform, declared
from unlearnbench.errors import UserError, nearest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SoftPrompt:
    """Vectors before every input, which a method trains instead of the weights.

    Attributes:
        tokens: number of virtual tokens.
        hidden: width of the MLP that re-parametrises them during training, or None to train them directly.
    """

    tokens: int
    hidden: int | None

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"a soft prompt has {self.tokens} virtual tokens, but must have at least 1.")


class Method(ABC):
    """An unlearning method: a loss over forget and retain examples, and its hyper-parameters.

    A subclass sets `name`, `title`, `description` and `uses`, and writes `loss`. It may change any
    hyper-parameter by assigning a new declaration, and add its own; those declared as `Choice` or `LogUniform`
    are tuned.

    Attributes:
        uses: parts of a batch that the loss reads. A part that is not named is neither encoded nor computed.
        references: reference values of the base model that the loss reads, by part.
        source: publication of the method.
        aliases: names that other tools have for the very same method.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    source: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[PartName, ...]]
    references: ClassVar[Mapping[PartName, ReferenceKind]] = {}

    learning_rate = LogUniform(1e-6, 1e-3, default=1e-5)
    epochs = Fixed(1)
    batch_size = Fixed(32)
    warmup_ratio = Fixed(0.1)
    weight_decay = Fixed(0.0)
    max_grad_norm = Fixed(1.0)

    def __init__(self, **values: Any) -> None:
        known = declared(type(self))
        for name, value in values.items():
            if name not in known:
                raise UserError(f"{self.name} has no hyper-parameter {name!r}: {nearest(name, known)}")
            try:
                setattr(self, name, value)
            except UserError as error:
                raise UserError(f"{self.name}.{error}") from None
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"{self.name}.{name} is {getattr(self, name)}, but must be at least 1.")

    @property
    def hyperparameters(self) -> dict[str, bool | int | float | str]:
        """Name and value of every hyper-parameter in use."""
        return {name: getattr(self, name) for name in declared(type(self))}

    def soft_prompt(self) -> SoftPrompt | None:
        """The soft prompt that this method trains, or None if it trains weights."""
        return None

    def trains(self, parameter: str, layers: int) -> bool:
        """Whether the method trains these weights; it trains all of them unless it overrides this.

        Args:
            parameter: name in the model, such as ``model.layers.3.mlp.down_proj.weight``.
            layers: number of transformer layers that the model has.
        """
        return True

    def hidden_layer(self, layers: int) -> int | None:
        """The layer whose output `loss` reads as `Part.hidden_states`, or None if it reads none.

        It is the output of the layer itself, before the model's final norm even for the last layer.

        Args:
            layers: number of transformer layers that the model has; 1 is the first of them.
        """
        return None

    @abstractmethod
    def loss(self, batch: Batch) -> Tensor:
        """The scalar to minimise. It must be a sum of means taken with `Part`'s own functions (see `Part`)."""
