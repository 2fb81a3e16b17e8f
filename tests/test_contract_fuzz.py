"""Anything in the place of any argument: accepted, or refused with a message of ours."""

import re
import types

import numpy as np
import pytest
from bad_inputs import parameters
from calls import EVERY, call, refused
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

import selscan

EVERYTHING = [(function, name) for function in EVERY for name in parameters(function)]
# A string may be right in the place of these.
NAMED = ("layout", "backend", "path")
INJECTIONS = [
    "1>(); } int x; template<int N",
    "",
    "\0",
    "float32\n#include <stdlib.h>",
    "{name} %s {0}",
    "x" * 10_000,
    "\ud800",
]
READABLE = r"({}: .* must .*; got .*\.( .*[.?])?)?"  # or nothing


class Hostile:
    """Everything that Python and NumPy may ask of an object raises."""

    def fail(self, *args, **keywords):
        raise TypeError("an object that is no array was asked for something")

    __bool__ = __len__ = __iter__ = __getitem__ = __eq__ = __repr__ = __str__ = __index__ = fail
    __float__ = __int__ = __call__ = __array__ = __dlpack__ = __format__ = fail
    __hash__ = object.__hash__


def circle():
    """A list in itself."""
    items = []
    items.append(items)
    return items


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.dates(),
    st.recursive(st.floats(), lambda inner: st.lists(inner) | st.tuples(inner, inner)),
    st.dictionaries(st.text(), st.integers()),
    st.sampled_from([object(), object, len, ..., slice(3), range(4), types, circle()]),
    st.sampled_from([np.float32, np.float64(1), np.dtype("f4, i2"), np.void(b"12"), np.True_]),
    st.builds(Hostile),
    st.builds(lambda: (x for x in ())),
)
SHAPES = st.lists(st.integers(0, 5), max_size=5).map(tuple)
DTYPES = st.sampled_from(["f4", ">f4", "f8", "f2", "i4", "?", "c8", "O", "S3", "f4,i2"])
HUGE_SHAPES = st.lists(st.sampled_from([0, 1, 2, 5, 2**14]), max_size=4).map(tuple)


def one_element(shape, dtype):
    """An array of any shape on the memory of one element."""
    return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


ARRAYS = st.builds(np.zeros, SHAPES, DTYPES) | st.builds(one_element, HUGE_SHAPES, DTYPES)


def answer(function, **replaced):
    """The message of the error that a call raises; empty if there is none."""
    try:
        call(function, **replaced)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
@pytest.mark.parametrize(("function", "name"), EVERYTHING)
def test_a_string_is_refused_everywhere(function, name, text):
    error = ValueError if name in NAMED else TypeError
    size = {"size": (5, 6)} if (function, name) == ("scatter", "path") else {}

    message = refused(error, function, **{name: text}, **size)

    assert message.startswith(f"{function}: {name} must be ")
    assert len(message) < 200


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
def test_a_string_that_names_no_backend_is_refused(text):
    with pytest.raises(ValueError, match=r"^use: name must be one of cpu, cupy, numba_cuda; got "):
        selscan.use(text)


@settings(max_examples=400, deadline=None)  # the first may compile
@given(place=st.sampled_from(EVERYTHING), value=VALUES)
def test_any_object_is_accepted_or_refused_with_a_message(place, value):
    function, name = place
    assume(not (name == "path" and callable(value)))  # what it raises is its own affair

    message = answer(function, **{name: value})

    assert re.fullmatch(READABLE.format(function), message, re.S)


@settings(max_examples=300, deadline=None)  # the first may compile
@given(place=st.sampled_from(EVERYTHING), value=VALUES)
def test_any_object_among_tensors_is_accepted_or_refused_with_a_message(place, value):
    pytest.importorskip("torch")
    function, name = place
    assume(not (name == "path" and callable(value)))

    message = answer(function, framework="torch", **{name: value})

    assert re.fullmatch(READABLE.format(function), message, re.S)


@settings(max_examples=300, deadline=None)  # the first may compile
@given(place=st.sampled_from(EVERYTHING), value=ARRAYS)
def test_any_array_is_accepted_or_refused_with_a_message(place, value):
    function, name = place
    assume(not (name == "path" and callable(value)))  # what it raises is its own affair

    message = answer(function, **{name: value})

    assert re.fullmatch(READABLE.format(function), message, re.S)
