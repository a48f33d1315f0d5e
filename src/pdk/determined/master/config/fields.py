"""What an experiment configuration is made of: checked values, and maps with known keys (pydantic models).

Every problem is collected, so that a user sees all of them at once; each starts with its path,
`<config>.searcher.metric: ...`, as the original's do. null means absent, as in the original.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

ROOT = "<config>"
# What our messages say for pydantic's kinds of errors; `shown` is the value, shortened.
TEXTS = {
    "missing": "is required",
    "extra_forbidden": "unknown setting{input}",
    "string_type": "must be text, not {shown}",
    "bool_type": "must be true or false, not {shown}",
    "int_type": "must be an integer, not {shown}",
    "list_type": "must be a list, not {shown}",
    "dict_type": "must be a map, not {shown}",
    "model_type": "must be a map, not {shown}",
    "greater_than_equal": "must be at least {ge:g}, not {input}",
    "less_than_equal": "must be at most {le:g}, not {input}",
}


def shown(value: Any) -> str:
    """Return a value as messages show it, shortened."""
    text = "null" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def wrong(text: str) -> PydanticCustomError:
    """Return the error a check of a value raises; `text` follows the path of the value."""
    return PydanticCustomError("wrong", text)


def check(holds: Callable[[Any], object], text: str) -> AfterValidator:
    """Return the check that `holds` is true of a value; `text` may say {shown}."""

    def checked(value: Any) -> Any:
        if not holds(value):
            raise wrong(text.replace("{shown}", shown(value)))
        return value

    return AfterValidator(checked)


def problems_of(error: ValidationError) -> list[str]:
    """Return every problem of a configuration with its path."""
    problems = []
    for each in error.errors(include_url=False):
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in each["loc"])
        text = TEXTS.get(each["type"], "{msg}")
        value = {"input": each["input"], "shown": shown(each["input"]), "msg": each["msg"]}
        problems.append(f"{ROOT}{path}: {text.format(**value, **each.get('ctx', {}))}")
    return problems


class Section(BaseModel):
    """A map with known keys; others are refused."""

    # Built at the first submission: the master starts 0.1 s sooner.
    model_config = ConfigDict(extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, value: Any) -> Any:
        """Drop what is null; an unknown key carries its hint instead of its value to the message."""
        if not isinstance(value, Mapping):
            raise wrong(f"must be a map, not {shown(value)}")
        known = cls.model_fields
        return {k: v if k in known else _hint(k, known) for k, v in value.items() if v is not None or k not in known}


def _hint(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {near[0]!r}?" if near else f"; known here: {', '.join(sorted(known))}"


def one_of(*choices: str) -> AfterValidator:
    """Return the check that a text is one of `choices`."""
    return check(choices.__contains__, f"must be one of {', '.join(choices)}, not {{shown}}")


def choice(key: str, kinds: Mapping[str, type[Section] | str]) -> Callable[[Any], Section]:
    """Return the check of a map whose `key` says of which kind it is (the original's unions).

    A kind may be a text: the original knows it, this master does not, and the text says what to use instead.
    """

    def check(value: Any) -> Section:
        if not isinstance(value, Mapping):
            raise wrong(f"must be a map, not {shown(value)}")
        name = value.get(key)
        kind = kinds.get(name) if isinstance(name, str) else None
        if kind is None:
            error = wrong(f"must be one of {', '.join(kinds)}, not {shown(name)}")
            raise ValidationError.from_exception_data(ROOT, [{"type": error, "loc": (key,), "input": None}])
        if isinstance(kind, str):
            raise wrong(f"Unimplemented: {kind}")
        return kind.model_validate(value)

    return check


def _whole(value: Any) -> Any:
    """Return a whole float such as 10.0 as an int."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Text = Annotated[str, Strict()]
Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), BeforeValidator(_whole)]
Count = Annotated[int, Field(strict=True, ge=0), BeforeValidator(_whole)]
Positive = Annotated[int, Field(strict=True, ge=1), BeforeValidator(_whole)]
# An int or a float, which it stays.
Real = Annotated[Any, check(lambda v: type(v) in (int, float), "must be a number, not {shown}")]
