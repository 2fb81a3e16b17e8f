"""Anything as any argument of a path: accepted, or refused with a message of ours."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from path_strategies import extra

from selscan.paths import MAKERS, Path

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(1, 60),
    st.integers(-5, 60),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=60),
    st.binary(max_size=60),
    st.sampled_from(["h", "v_flip", "w3", "w999999", 2**31, 2**40, 2**100]),
    st.lists(st.integers(), max_size=3),
    st.sampled_from([object(), object, len, np.float32, slice(3), np.array([1]), np.array([[0]])]),
)
CALLS = {"Path": Path, "Path.of": Path.of, **MAKERS}


def answer(function, *args):
    """The message of the error that a call raises; empty if it makes a Path."""
    try:
        made = function(*args)
    except (TypeError, ValueError) as error:
        return str(error)
    return "" if isinstance(made, Path) else f"made {made}"


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=100)
@given(data=st.data())
def test_anything_is_accepted_or_refused_in_a_readable_way(name, data):
    count = 2 + len(extra(MAKERS[name])) if name in MAKERS else 4
    arguments = [data.draw(ANYTHING) for _ in range(count)]

    message = answer(CALLS[name], *arguments)

    assert re.fullmatch(rf"({re.escape(name)}: .* must be .*; got .*\.( .*\.)?)?", message, re.S)
    assert len(message) < 250
