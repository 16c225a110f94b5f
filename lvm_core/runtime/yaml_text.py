"""Reading YAML that may be damaged or hostile: a few bytes of it can stand for more than any memory holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from lvm_core.runtime.errors import LvmError, printable
from lvm_core.runtime.readers import read_text

LONGEST_FILE = 2**20
"""Characters that a file may have; ours has 20,000."""

MOST_VALUES = 100_000
"""Values that a file may have when every alias is written out; ours has under a thousand."""

LONGEST_NUMBER = 1000
"""Characters of a plain value; Python takes a number of so many digits for one, and long ones for minutes."""


def read_yaml(path: str | Path, remedy: str) -> Any:
    """The one document in a YAML file.

    Args:
        path: of the file.
        remedy: what to do if it is not there or cannot be read as YAML.

    Raises:
        LvmError: the file is missing, not YAML, has a key twice, or grows too large (names it and the line).
    """
    text = read_text(path, missing=remedy, remedy=remedy)
    try:
        return parse_yaml(text, str(path))
    except LvmError as error:
        raise LvmError(f"{error}; {remedy}") from error


def parse_yaml(text: str, where: str) -> Any:
    """The one document in a YAML text, made of dicts, lists, strings, numbers, dates, bools and None."""
    if len(text) > LONGEST_FILE:
        raise LvmError(f"{where}: has {len(text):,} characters, more than any file of parameters ({LONGEST_FILE:,})")
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, where)
        return loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise LvmError(f"{where}: is not valid YAML: {printable(' '.join(str(error).split()))}") from error
    except (ValueError, LookupError, TypeError, ArithmeticError, AttributeError) as error:  # a date of month 13, say
        raise LvmError(f"{where}: is not valid YAML: a value cannot be read: {printable(error)}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _check(root: yaml.Node, where: str) -> None:
    """Count the values of the document with aliases written out, and look for what would be lost without a word."""
    sizes: dict[int, int] = {}  # of each node, 0 while its parts are counted

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known == 0:
            raise LvmError(f"{where}: line {node.start_mark.line + 1}: an alias (*) stands inside what it stands for")
        if known is not None:
            return known
        sizes[id(node)] = 0
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, where)
            total = 1 + sum(size(key) + size(value) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            total = 1 + sum(map(size, node.value))
        else:
            total = 1
            if node.tag.endswith((":int", ":float")) and len(node.value) > LONGEST_NUMBER:
                raise LvmError(f"{where}: line {node.start_mark.line + 1}: a number of {len(node.value):,} digits")
        if total > MOST_VALUES:
            line = node.start_mark.line + 1
            raise LvmError(
                f"{where}: line {line}: holds more than {MOST_VALUES:,} values when aliases (*) are written out"
            )
        sizes[id(node)] = total
        return total

    size(root)


def _check_keys(node: yaml.MappingNode, where: str) -> None:
    seen = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise LvmError(f"{where}: line {key.start_mark.line + 1}: a key must be a single word or number")
        if (key.tag, key.value) in seen:
            raise LvmError(f"{where}: line {key.start_mark.line + 1}: the key {printable(key.value)} is there twice")
        seen.add((key.tag, key.value))
