"""Anything in the place of any argument: accepted, or refused with a message of ours."""

import re

import numpy as np
import pytest
from calls import INPUTS, OPTIONS, call, refused
from hypothesis import given, settings
from hypothesis import strategies as st

EVERYTHING = [
    (function, name) for function in INPUTS for name in (*INPUTS[function], *OPTIONS[function])
]
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
KINDS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.lists(st.floats()),
    st.dictionaries(st.text(), st.integers()),
    st.sampled_from([object(), object, len, Ellipsis, np.float32, slice(3), range(4)]),
)
SHAPES = st.lists(st.integers(0, 5), max_size=5).map(tuple)
DTYPES = st.sampled_from(["f4", ">f4", "f8", "f2", "i4", "?", "c8", "O", "S3", "f4,i2"])


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
    error = ValueError if name in ("layout", "backend", "seq_idx", "out_dtype") else TypeError

    message = refused(error, function, **{name: text})

    assert message.startswith(f"{function}: {name} must be ")
    assert len(message) < 200


@settings(max_examples=300, deadline=None)  # the first may compile
@given(place=st.sampled_from(EVERYTHING), value=KINDS)
def test_any_object_is_accepted_or_refused_with_a_message(place, value):
    function, name = place

    message = answer(function, **{name: value})

    assert re.fullmatch(READABLE.format(function), message, re.S)


@settings(max_examples=300, deadline=None)  # the first may compile
@given(place=st.sampled_from(EVERYTHING), shape=SHAPES, dtype=DTYPES)
def test_any_array_is_accepted_or_refused_with_a_message(place, shape, dtype):
    function, name = place

    message = answer(function, **{name: np.zeros(shape, dtype)})

    assert re.fullmatch(READABLE.format(function), message, re.S)
