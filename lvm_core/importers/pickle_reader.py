"""Object arrays of foreign .npz files, read without executing anything: one restricted reader of pickle streams.

numpy saves an array of Python objects as a pickle, and a pickle can call any function of any module. Here every
operation that is not on a list is refused by name (extension codes, persistent ids, sets, making instances); a global
is looked up in a constant table and gives no class or function but a `Global`, which only `load_reduce` can call;
arrays and dtypes are stand-ins that check their state (pickle_types.py).

The base is pickle's Python implementation: the C one allocates 16 bytes times the largest memo index that a five-byte
operation names (64 GB), and hashes dictionary keys before anyone can look at them, so that 1 MB of tuples nested into a
key overflows the C stack. Scanning the stream first with `pickletools.genops` takes 3.5 s for 440,000 dictionaries of
five keys and does not see the second; reading them with this class takes 4 to 7 s in all and 340 MB.
"""

from __future__ import annotations

import math
import pickle
import pickletools
from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO, ClassVar, NoReturn
from uuid import UUID

import numpy as np

from lvm_core.importers.pickle_types import (
    ADMITTED,
    UUID_CLASS,
    Global,
    PickledArray,
    PickledDtype,
    PickledUuid,
    Refused,
)
from lvm_core.runtime.errors import AGAIN, READ_ERRORS, LvmError, printable

MAX_DEPTH = 64
"""Values nested deeper are refused, as whatever reads them later may recurse."""

_LEAVES = frozenset({str, int, float, complex, bool, type(None)})

_REMEDY = "save the array again with only dicts, lists, tuples, text, numbers, None and numpy arrays of these in it"

_PythonUnpickler: Any = pickle._Unpickler  # Any: no stub has its stack


class _Reader(_PythonUnpickler):
    """Reads the operations that np.save writes, protocols 2 to 5."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        # Frames say where a reader may read ahead; reading without them is right as well, and 1.5 times as fast.
        self.read, self.readline = file.read, file.readline
        self.stack: list[Any] = []
        self.append = self.stack.append
        self.metastack: list[list[Any]] = []

    def load(self) -> Any:
        read, dispatch = self.read, self.dispatch
        while (code := read(1)) != pickle.STOP:
            if not code:
                raise EOFError("it ends too early")
            dispatch[code[0]](self)
        return self.stack.pop()

    def load_frame(self) -> None:
        self.read(8)

    def persistent_load(self, pid: object) -> NoReturn:
        raise Refused("refers to a persistent id")

    def find_class(self, module: str, name: str) -> Global:
        # A dot within `name` would be an attribute of an attribute; the table has no such entry.
        found = ADMITTED.get(f"{module}.{name}") if "." not in name else None
        if found is None:
            raise Refused(f"refers to {printable(f'{module}.{name}')}")
        return found

    def load_inst(self) -> None:
        found = self.find_class(*(self.readline()[:-1].decode() for _ in range(2)))
        raise Refused(f"makes an instance of {found.name}")

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            raise ValueError("a call of something that is no function")
        self.append(function.make(*arguments))

    def load_newobj(self) -> None:
        arguments, found = self.stack.pop(), self.stack.pop()
        if found is not UUID_CLASS or type(arguments) is not tuple or arguments:
            raise Refused("uses the pickle operation NEWOBJ")
        self.append(PickledUuid())

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) not in (PickledArray, PickledDtype, PickledUuid):
            raise ValueError("a state for something that has none")
        target.set_state(state)

    def load_text(self, width: int) -> None:
        # Strict, unlike pickle: half of a surrogate pair could be read but never be written again.
        self.append(str(self.read(int.from_bytes(self.read(width), "little")), "utf-8"))

    def load_bytearray8(self) -> None:
        # pickle fills a bytearray of the size that the stream names with zeros before it reads the first byte.
        self.append(self.read(int.from_bytes(self.read(8), "little")))

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise ValueError("an item for something that is no list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any]) -> None:
        target, keys = self.stack[-1], items[::2]
        if type(target) is not dict:
            raise ValueError("a key for something that is no dict")
        if not _LEAVES.issuperset(map(type, keys)):
            for key in keys:
                if type(key) not in _LEAVES and not isinstance(key, np.generic):
                    raise Refused(f"has a dict key of type {_type_name(key)}")
        target.update(zip(keys, items[1::2], strict=True))


def _type_name(value: object) -> str:
    stands_for = {PickledArray: "numpy.ndarray", PickledDtype: "numpy.dtype", PickledUuid: "uuid.UUID"}
    return stands_for.get(type(value), type(value).__name__)


def _refuse(operation: str, _: _Reader) -> NoReturn:
    raise Refused(f"uses the pickle operation {operation}")


def _dispatch() -> dict[int, Callable[[Any], None]]:
    inherited = (
        "PROTO MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT BINBYTES BINBYTES8 "
        "SHORT_BINBYTES EMPTY_LIST EMPTY_DICT EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 BINGET LONG_BINGET BINPUT "
        "LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL"
    )
    own: dict[str, Callable[[Any], None]] = {
        "FRAME": _Reader.load_frame,
        "INST": _Reader.load_inst,
        "REDUCE": _Reader.load_reduce,
        "BUILD": _Reader.load_build,
        "NEWOBJ": _Reader.load_newobj,
        "SHORT_BINUNICODE": partial(_Reader.load_text, width=1),
        "BINUNICODE": partial(_Reader.load_text, width=4),
        "BINUNICODE8": partial(_Reader.load_text, width=8),
        "BYTEARRAY8": _Reader.load_bytearray8,
        "APPEND": lambda reader: reader.extend([reader.stack.pop()]),
        "APPENDS": lambda reader: reader.extend(reader.pop_mark()),
        "SETITEM": lambda reader: reader.update([reader.stack.pop(-2), reader.stack.pop()]),
        "SETITEMS": lambda reader: reader.update(reader.pop_mark()),
    }
    table: dict[int, Callable[[Any], None]] = {}
    names = {ord(operation.code): operation.name for operation in pickletools.opcodes}
    for code in range(256):
        name = names.get(code, f"0x{code:02x}")
        is_inherited = name in inherited.split()
        table[code] = _PythonUnpickler.dispatch[code] if is_inherited else own.get(name, partial(_refuse, name))
    return table


_Reader.dispatch = _dispatch()


class _Values:
    """Checks values and puts real arrays in place of stand-ins, each shared value once."""

    def __init__(self) -> None:
        self.heights: dict[int, int] = {}
        """Levels below each container by id, -1 while it is being looked at."""
        self.replaced: dict[int, tuple[Any, Any]] = {}
        """Containers made anew, with the old one, whose id would be given to another value if it were let go."""

    def settle(self, item: Any, room: int = MAX_DEPTH) -> tuple[Any, int]:
        """The value for `item`, and the number of levels in it, at most `room`."""
        if type(item) in _LEAVES or type(item) is bytes or isinstance(item, np.generic):
            return item, 0
        if type(item) is PickledUuid and item.number is not None:
            return str(UUID(int=item.number)), 0
        if type(item) is PickledDtype:
            return np.dtype(object) if item.plain is None else item.plain, 0
        if type(item) not in (dict, list, tuple, PickledArray):
            name = item.name if type(item) is Global else f"a value of type {_type_name(item)}"
            raise Refused(f"holds {name}")
        height = self.heights.get(id(item))
        if height == -1:
            raise Refused("holds a value that contains itself")
        if height is None and room > 0:
            self.heights[id(item)] = -1
            value, height = self._settle_container(item, room - 1)
            self.heights[id(item)] = height
            if value is not item:
                self.replaced[id(item)] = (item, value)
        if height is None or height > room:
            raise Refused(f"holds values nested more than {MAX_DEPTH} deep")
        return self.replaced.get(id(item), (item, item))[1], height

    def _settle_container(self, item: Any, room: int) -> tuple[Any, int]:
        if type(item) is PickledArray:
            return self._settle_array(item, room)
        target: Any = list(item) if type(item) is tuple else item
        height, changed = 0, False
        for key, old in target.items() if type(item) is dict else enumerate(target):
            if type(old) not in _LEAVES:
                new, below = self.settle(old, room)
                height = max(height, below)
                if new is not old:
                    target[key], changed = new, True
        if type(item) is tuple:
            target = tuple(target) if changed else item
        return target, height + 1

    def _settle_array(self, item: PickledArray, room: int) -> tuple[Any, int]:
        if item.array is not None:
            return item.array, 0
        if item.items is None:
            raise ValueError("an array without contents")
        items, height = self.settle(item.items, room)
        if not items:
            return [], 1  # whatever its shape: (1000000000, 0) would make as many lists
        nested = np.empty(len(items), dtype=object)
        for index, value in enumerate(items):
            nested[index] = value
        return nested.reshape(item.shape).tolist(), height + len(item.shape)


def read_object_array(file: BinaryIO, header_shape: tuple[int, ...], where: str) -> list[Any]:
    """Read the object array whose pickle stream begins at the position of `file` and ends where `file` ends."""
    place = where
    try:
        reader = _Reader(file)
        array = reader.load()
        if reader.read(1):
            raise ValueError("something follows its end")
        del reader  # its memo, before more memory is taken
        if type(array) is not PickledArray or array.items is None:
            raise ValueError("it is something else")
        if array.shape != tuple(header_shape):
            raise ValueError(f"its shape is {array.shape}, but {tuple(header_shape)} in the header")
        items, values = array.items, _Values()
        values.heights |= {id(array): -1, id(items): -1}
        per_row = math.prod(array.shape[1:])
        for index, item in enumerate(items):
            place = f"{where}: row {index // per_row}"
            items[index], _ = values.settle(item)
    except Refused as error:
        raise LvmError(f"{place}: {error}, which is not admitted; {_REMEDY}") from None
    except (*READ_ERRORS, pickle.UnpicklingError) as error:
        reason = printable(str(error) or type(error).__name__)
        raise LvmError(f"{place}: is not a readable object array ({reason}); {AGAIN}") from error
    return items
