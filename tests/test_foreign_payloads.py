"""Nothing that the stream of an object array asks for beyond values is ever done."""

from __future__ import annotations

import copyreg
import os
import pickle
import tempfile

import pytest

from tests.foreign_streams import (
    DTYPE,
    EMPTY,
    FLOAT,
    SCALAR,
    array_of,
    call,
    named,
    object_array,
    read,
    refused,
    stacked,
    text,
)

MARKER = f"{tempfile.gettempdir()}/lvm-marker-of-an-executed-payload-{os.getpid()}"
SYSTEM, COMMAND = named("os", "system"), text(f"touch {MARKER}")
PAYLOAD = call(SYSTEM, COMMAND)
PLANTED = {
    "in place of the array": b"\x80\x04" + PAYLOAD + b".",
    "before the array": b"\x80\x04" + PAYLOAD + array_of(b"N")[2:],
    "element": array_of(PAYLOAD),
    "key": array_of(b"}(" + PAYLOAD + b"Nu"),
    "value": array_of(b"}(" + text("a") + PAYLOAD + b"u"),
    "list": array_of(b"](](" + PAYLOAD + b"ee"),
    "tuple": array_of(PAYLOAD + b"\x85\x85"),
    "dtype": array_of(b"N", dtype=PAYLOAD),
    "dtype's name": array_of(b"N", dtype=call(named("numpy", "dtype"), PAYLOAD)),
    "dtype's state": array_of(b"N", dtype=FLOAT + PAYLOAD + b"b"),
    "state": b"\x80\x04" + EMPTY + PAYLOAD + b"b.",
    "shape": array_of(b"N", shape=PAYLOAD),
    "class to reconstruct": b"\x80\x04" + EMPTY.replace(named("numpy", "ndarray"), SYSTEM),
    "arguments": array_of(named("numpy", "dtype") + PAYLOAD + b"R"),
    "function, not called": array_of(SYSTEM),
    "scalar's dtype": array_of(SCALAR + PAYLOAD + b"C\x00\x86R"),
    "scalar's bytes": array_of(SCALAR + FLOAT + PAYLOAD + b"\x86R"),
    "STACK_GLOBAL": array_of(call(stacked("os", "system"), COMMAND)),
    "INST": array_of(b"(" + COMMAND + b"ios\nsystem\n"),
    "OBJ": array_of(b"(" + SYSTEM + COMMAND + b"o"),
    "NEWOBJ": array_of(SYSTEM + COMMAND + b"\x85\x81"),
    "NEWOBJ_EX": array_of(SYSTEM + COMMAND + b"\x85}\x92"),
    "state of an admitted global": array_of(SCALAR + PAYLOAD + b"b"),
}


@pytest.fixture(autouse=True)
def _nothing_is_executed():
    yield
    assert not os.path.exists(MARKER)


def test_the_payload_works_where_it_is_not_refused():
    pickle.loads(PAYLOAD + b".")
    os.unlink(MARKER)
    assert read(array_of(b"K\x07")) == [7]


@pytest.mark.parametrize("position", PLANTED)
def test_a_payload_is_refused_by_name_wherever_it_is(position):
    message = refused(PLANTED[position])
    assert "refers to os.system, which is not admitted" in message
    assert "save the array again" in message


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_payload_as_pickle_writes_it_is_refused(protocol):
    class Payload:
        def __reduce__(self):
            return eval, (f"open({MARKER!r}, 'w')",)

    message = refused(pickle.dumps(object_array([{"a": [Payload()]}]), protocol=protocol))
    assert "refers to builtins.eval" in message or "refers to __builtin__.eval" in message


@pytest.mark.parametrize("load", [named, stacked])
@pytest.mark.parametrize(
    "name",
    [
        *("posix system", "builtins exec", "builtins getattr", "numpy load", "numpy.f2py.diagnose run", "numpy core.x"),
        *("numpy.core.multiarray fromfile", "numpy.core multiarray._reconstruct", "numpy dtype.newbyteorder"),
        "escape \x1b[2J",
    ],
)
def test_other_globals_are_refused_by_name(load, name):
    module, attribute = name.split(" ")
    message = refused(array_of(call(load(module, attribute), COMMAND)))
    assert f"refers to {module}.{attribute}".replace("\x1b", r"\x1b") in message


@pytest.mark.parametrize("is_cached", [False, True])
def test_extension_codes_are_refused_even_if_another_reader_has_met_them(is_cached):
    copyreg.add_extension("os", "system", 240)
    if is_cached:
        vars(copyreg)["_extension_cache"][240] = os.system
    try:
        for code in (b"\x82\xf0", b"\x83\xf0\x00", b"\x84\xf0\x00\x00\x00"):
            assert "uses the pickle operation EXT" in refused(array_of(call(code, COMMAND)))
    finally:
        copyreg.remove_extension("os", "system", 240)


@pytest.mark.parametrize(
    ("item", "reason"),
    {
        "PERSID": (b"Pname\n", "operation PERSID"),
        "BINPERSID": (text("name") + b"Q", "operation BINPERSID"),
        "set": (b"\x8f", "operation EMPTY_SET"),
        "frozenset": (b"(K\x01\x91", "operation FROZENSET"),
        "UUID without a state": (named("uuid", "UUID") + b")\x81", "row 0: holds a value of type uuid.UUID"),
        "UUID of no tuple": (named("uuid", "UUID") + b"]\x81", "operation NEWOBJ"),
        "UUID of a number": (named("uuid", "UUID") + SCALAR + b"\x81", "operation NEWOBJ"),
        "UUID with more": (
            named("uuid", "UUID") + b")\x81}(" + text("int") + b"K\x01" + text("hex") + b"Nub",
            "a UUID with a state",
        ),
        "UUID as a key": (
            b"}" + named("uuid", "UUID") + b")\x81}" + text("int") + b"K\x01sbK\x01s",
            "dict key of type uuid.UUID",
        ),
        "call of UUID": (call(named("uuid", "UUID"), text("a" * 32)), "a call of numpy.ndarray or uuid.UUID"),
        "UUID of 129 bits": (
            named("uuid", "UUID") + b")\x81}" + text("int") + b"\x8a\x12" + b"\0" * 16 + b"\1\0sb",
            "a UUID with a state",
        ),
        "buffer": (b"\x97", "operation NEXT_BUFFER"),
        "admitted global as a value": (named("numpy", "ndarray"), "row 0: holds numpy.ndarray"),
        "admitted global by INST": (b"(inumpy\nndarray\n", "makes an instance of numpy.ndarray"),
        "admitted global by OBJ": (b"(" + named("numpy", "dtype") + text("f8") + b"o", "operation OBJ"),
        "admitted global by NEWOBJ": (named("numpy", "dtype") + text("f8") + b"\x85\x81", "operation NEWOBJ"),
        "slots of an admitted global": (SCALAR + b"N}(" + text("make") + b"Nu\x86b", "a state for something"),
        "dict of an admitted global": (SCALAR + b"}(" + text("make") + b"Nub", "a state for something"),
        "call of ndarray": (call(named("numpy", "ndarray"), b"K\x01\x85"), "a call of numpy.ndarray"),
        "array without contents": (EMPTY, "an array without contents"),
        "array as a key": (b"}(" + EMPTY + b"Nu", "dict key of type numpy.ndarray"),
        "tuple as a key": (b"}(K\x01\x85Nu", "dict key of type tuple"),
        "scalar of objects": (SCALAR + DTYPE + b"C\x08aaaaaaaa\x86R", "bytes do not fit its type"),
        "short scalar": (SCALAR + FLOAT + b"C\x07aaaaaaa\x86R", "bytes do not fit its type"),
        "short array": (EMPTY + b"(K\x01K\x02\x85" + FLOAT + b"\x89C\x08aaaaaaaatb", "do not make an array of shape"),
        "pointers as data": (EMPTY + b"(K\x01K\x01\x85" + DTYPE + b"\x89C\x08aaaaaaaatb", "contents do not fit"),
        "negative shape": (EMPTY + b"(K\x01J\xff\xff\xff\xff\x85" + FLOAT + b"\x89C\0tb", "whose shape is none"),
        "void": (call(named("numpy", "dtype"), text("V8")), "has an array of type V8"),
        "fields": (FLOAT + b"(K\x03" + text("|") + b"N(" + text("a") + b"t}J\0\0\0\0J\0\0\0\0K\0tb", "with fields"),
        "other codec": (named("_codecs", "encode") + text("a") + text("rot13") + b"\x86R", "encoding than latin1"),
        "surrogate": (b"X\x03\0\0\0\xed\xa0\x80", "utf-8"),
        "trailing bytes": (b"Netb." + SYSTEM, "something follows its end"),
        "not an array": (b"Netb0N.", "operation POP"),
    }.values(),
)
def test_what_is_no_value_is_refused(item, reason):
    assert reason in refused(array_of(item))
