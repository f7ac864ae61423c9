"""Hyper-parameters, declared on a method's class and read from its instance.

``learning_rate = LogUniform(1e-6, 1e-3, default=1e-5)`` in a class body declares a search range;
``method.learning_rate`` on an instance is the number in use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Generic, Literal, Self, TypeVar, overload

from unlearnbench.errors import UserError

Value = TypeVar("Value", bound="bool | int | float | str")


class Hyperparameter(Generic[Value]):
    """A named value of a method with a default; subclasses say how it is searched."""

    def __init__(self, default: Value) -> None:
        self.default = default
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Value: ...
    def __get__(self, instance: object | None, owner: type) -> Self | Value:
        if instance is None:
            return self
        return instance.__dict__.get(self.name, self.default)  # type: ignore[no-any-return]

    def __set__(self, instance: object, value: Value) -> None:
        instance.__dict__[self.name] = self.validated(value)

    def validated(self, value: Any) -> Value:
        """`value` in the type of the default.

        Raises:
            UserError: it has another type, or is a number that is not finite.
        """
        wanted = type(self.default)
        if wanted is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not wanted:
            raise UserError(f"{self.name} is {value!r}, but must be of type {wanted.__name__}, as in {self.default!r}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{self.name} is {value!r}, but must be a finite number, as in {self.default!r}.")
        return value

    def read(self, text: str) -> Value:
        """The value whose `str` is `text`."""
        kind = type(self.default)
        return self.validated(text == "True" if kind is bool else kind(text))

    def describe(self) -> str:
        """The declaration in a few characters, for tables and error messages."""
        return f"{self.default}"


class Fixed(Hyperparameter[Value]):
    """Not tuned; can be set with ``--set METHOD.NAME=VALUE``."""

    def __init__(self, default: Value, choices: Sequence[Value] = ()) -> None:
        super().__init__(default)
        self.choices = tuple(choices)

    def validated(self, value: Any) -> Value:
        value = super().validated(value)
        if self.choices and value not in self.choices:
            raise UserError(f"{self.name} is {value!r}, but must be one of {', '.join(map(str, self.choices))}.")
        return value  # type: ignore[no-any-return]


Side = Literal["lower", "upper"]
# A value counts as being at an end of its (logarithmic) range within this share of the range.
EDGE = 1 / 8


class Choice(Hyperparameter[Value]):
    """Tuned over a list of values. A value set by hand may lie outside the list."""

    def __init__(self, choices: Sequence[Value], default: Value) -> None:
        super().__init__(default)
        self.choices = tuple(choices)

    def side(self, value: Value) -> Side | None:
        """The end of the list at which a value is; None if it is at no end, or these are not at least three numbers."""
        numbers = [value for value in self.choices if isinstance(value, int | float) and not isinstance(value, bool)]
        if len(numbers) < max(3, len(self.choices)):
            return None
        return "lower" if value == min(numbers) else "upper" if value == max(numbers) else None

    def describe(self) -> str:
        return "{" + ", ".join(map(str, self.choices)) + "}"


class LogUniform(Hyperparameter[float]):
    """Tuned over ``[low, high]``, uniformly in the logarithm."""

    def __init__(self, low: float, high: float, default: float) -> None:
        super().__init__(default)
        self.low, self.high = low, high

    def validated(self, value: Any) -> float:
        number = float(super().validated(value))
        if number <= 0:
            raise UserError(f"{self.name} is {number!r}, but must be above 0, as in {self.default!r}.")
        return number

    def side(self, value: float) -> Side | None:
        """The end of the range that a value is near to, or None."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        tolerance = EDGE + 1e-6
        return "lower" if share <= tolerance else "upper" if share >= 1 - tolerance else None

    def describe(self) -> str:
        return f"[{self.low:g}, {self.high:g}], log"


def over(parameter: Hyperparameter[Any], values: Sequence[Any]) -> Choice[Any] | LogUniform:
    """What to search instead of what is declared: two ends of a range for a `LogUniform`, else a list of values.

    The search starts at the declared default if that is among them, else in the middle of the range, or at the first.

    Raises:
        UserError: the values don't fit, or they are none.
    """
    if not values:
        raise UserError(f"{parameter.name} is given no values: give a range, as in [1e-5,1e-3], or a list.")
    if not isinstance(parameter, LogUniform):
        checked = [parameter.validated(value) for value in values]
        if len(checked) == 1:
            raise UserError(f"{parameter.name} is a list of one value: fix it with {parameter.name}={checked[0]}.")
        made: Choice[Any] | LogUniform = Choice(
            checked, parameter.default if parameter.default in checked else checked[0]
        )
    else:
        low, high = (parameter.validated(value) for value in (values[0], values[-1]))
        if len(values) != 2 or low >= high:
            raise UserError(f"{parameter.name} is {list(values)!r}, but a range has two ends, the lower one first.")
        inside = low <= parameter.default <= high
        made = LogUniform(low, high, parameter.default if inside else float(f"{math.sqrt(low * high):.6g}"))
    made.name = parameter.name
    return made


def declared(owner: type) -> dict[str, Hyperparameter[Any]]:
    """All hyper-parameters of a class, those of its bases first, in the order of declaration."""
    parameters: dict[str, Hyperparameter[Any]] = {}
    for base in reversed(owner.__mro__):
        parameters.update({name: value for name, value in vars(base).items() if isinstance(value, Hyperparameter)})
    return parameters
