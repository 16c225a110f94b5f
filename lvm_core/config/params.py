"""Reading params.yaml: profile applied, every group typed and validated, each mistake one clear line."""

from __future__ import annotations

import json
import math
from dataclasses import is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, overload

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.readers import read_yaml

PARAMS_FILE = Path("params.yaml")

T = TypeVar("T")

LONGEST = 80
"""Characters of a value that a message shows at most."""

UNKNOWN_KEY = ("extra_forbidden", "unexpected_keyword_argument")

Seed = Annotated[int, Field(ge=0, le=2**32 - 1, description="seed of every random draw")]

Threads = Annotated[int, Field(ge=1, le=1024, description="processor threads of every numeric library")]

Precision = Literal["auto", "bf16", "fp32"]

Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]

PosScalar = Annotated[float, Field(ge=-10.0, le=10.0, allow_inf_nan=False)]

STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
"""For `__pydantic_config__` of a dataclass that is read from a json file: as strict as a `Group`."""


def a_list(what: str, like: str) -> BeforeValidator:
    """Says of anything but a list what is wanted. (DVC makes stages from some lists, and has no words for it.)"""

    def check(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"must be a list of {what}, e.g. {like}")
        return value

    return BeforeValidator(check)


class Group(BaseModel):
    """A group of parameters: unknown keys and wrong types are errors, numbers are finite, values never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=False)


class Common(Group):
    """The parameters at the head of params.yaml, which are in no group."""

    profile: str
    profiles: dict[str, dict[str, Any]]
    seed: Seed
    threads: Threads
    precision: Precision
    device: Device
    launch: Annotated[
        str,
        Field(
            pattern=r"^(python|torchrun( [\w.:/=,-]+)+)$",
            description="what starts the stages that encode and train: python, or torchrun with its options",
        ),
    ]
    pos_scalar: PosScalar


def read_params(path: str | Path = PARAMS_FILE) -> dict[str, Any]:
    """params.yaml as a dict, with the values of the chosen profile in place of its own.

    Raises:
        LvmError: the file is missing or not YAML, the profile does not exist, or has a key that params.yaml has not.
    """
    raw = read_yaml(path, "put a params.yaml like the repository's there, or run this in its folder")
    if not isinstance(raw, dict):
        raise LvmError(f"{path}: must be a mapping of keys to values")
    for key in ("profile", "profiles"):
        if key not in raw:
            raise LvmError(f"{path}: {key} is missing")
    profiles, name = raw["profiles"], raw["profile"]
    if not isinstance(profiles, dict) or not all(isinstance(value, dict) for value in profiles.values()):
        raise LvmError(f"{path}: profiles must map each profile's name to a mapping of parameters")
    if not isinstance(name, str) or name not in profiles:
        raise LvmError(f"{path}: profile = {shown(name)} is not allowed; defined are {sorted(profiles)}")
    _check_keys(raw, profiles[name], f"profiles.{name}", path)
    return overlay(raw, profiles[name])


def _check_keys(base: Any, over: dict[str, Any], where: str, path: str | Path) -> None:
    """A profile may only change keys that params.yaml has: anything else would be a silent typo."""
    for key, value in over.items():
        if not isinstance(base, dict) or key not in base:
            allowed = ", ".join(map(str, base)) if isinstance(base, dict) else "none"
            raise LvmError(f"{path}: {where}.{key} = {shown(value)}: unknown key; allowed are {allowed}")
        if isinstance(value, dict):
            _check_keys(base[key], value, f"{where}.{key}", path)


def overlay(base: Any, over: Any) -> Any:
    """`base` with the values of `over`; a group of another kind (`name` or `family`) replaces the base as a whole."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if any(key in over and over[key] != base.get(key) for key in ("name", "family")):
        return over
    return base | {key: overlay(base.get(key), value) for key, value in over.items()}


@overload
def validate(value: Any, kind: type[T], where: str, path: str | Path = ...) -> T: ...
@overload
def validate(value: Any, kind: Any, where: str, path: str | Path = ...) -> Any: ...
def validate(value: Any, kind: Any, where: str, path: str | Path = PARAMS_FILE) -> Any:
    """Check a value from YAML or json against any type that pydantic knows, and return the typed value.

    `where` is its dotted key ("" for a whole file) and `path` its file, for the message. Of a dataclass,
    `__pydantic_config__` says how strictly it is checked.

    Raises:
        LvmError: one line that names the file, the key, the value and what is allowed.
    """
    try:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind.model_validate(value)
        if is_dataclass(kind):  # from a json file: pydantic takes no dict for a strict dataclass, but its json
            return TypeAdapter(kind).validate_json(json.dumps(value))
        return TypeAdapter(kind, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
    except ValidationError as error:
        errors = error.errors()  # an unknown key first: where one is misspelt, the right one is missing too
        first = next((one for one in errors if one["type"] in UNKNOWN_KEY), errors[0])
        raise LvmError(_describe(first, kind, where, path)) from None


def load_group(params: dict[str, Any], key: str, kind: type[T], path: str | Path = PARAMS_FILE) -> T:
    """The top-level key `key` of `params`, checked as by `validate`."""
    if key not in params:
        raise LvmError(f"{path}: {key} is missing")
    return validate(params[key], kind, key, path)


def load_common(params: dict[str, Any], path: str | Path = PARAMS_FILE) -> Common:
    """The parameters that are in no group, checked as by `validate`."""
    return validate({key: params[key] for key in Common.model_fields if key in params}, Common, "", path)


def shown(value: Any) -> str:
    """A value as a message shows it: as Python writes it, cut to `LONGEST` characters."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _describe(error: ErrorDetails, kind: Any, where: str, path: str | Path) -> str:
    key = ".".join(filter(None, [where, *map(str, error["loc"])]))
    value = error["input"]
    if error["type"] in UNKNOWN_KEY:
        group = _group_at(kind, error["loc"][:-1])
        allowed = f"; allowed are {', '.join(group.model_fields)}" if group else ""
        return f"{path}: {key} = {shown(value)}: unknown key{allowed}"
    if error["type"] == "missing":
        return f"{path}: {key} is missing"
    hint = _hint(value) if error["type"] in ("int_type", "float_type") and isinstance(value, str) else ""
    return f"{path}: {printable(key)} = {shown(value)}: {reason(error)}{hint}"


def reason(error: ErrorDetails) -> str:
    """What pydantic or a validator of ours has against a value, to go on with after a colon."""
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "must be a mapping of keys to values"
    text = printable(error["msg"].removeprefix("Value error, "))
    return text[0].lower() + text[1:]


def _hint(text: str) -> str:
    """Why YAML gave this text where a number is wanted; nothing for a text that is no number."""
    try:
        finite = math.isfinite(float(text))
    except ValueError:
        return ""
    if not finite:
        return ""
    if isinstance(yaml.safe_load(text), str):
        return f" (YAML reads {text} as text: write it with a point and a signed exponent, like 0.001 or 1.0e-3)"
    return f" (the quotes make it text: write {text} without them)"


def _group_at(kind: Any, location: tuple[int | str, ...]) -> type[Group] | None:
    for part in location:
        field = getattr(kind, "model_fields", {}).get(part)
        kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, Group) else None
