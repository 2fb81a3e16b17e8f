"""What the paths refuse: the message names the argument, what it must be, and what came."""

import numpy as np
import pytest
from path_strategies import extra

from selscan.paths import MAKERS, Path

INTEGER = "an integer from 1 to 2147483647"
NAMES = "names such as 'h', 'v', 'w7' or 'w7_flip', at least one"
ARRAY = "a NumPy array of integers"
NUMBER = "-1 for padding or a pixel number from 0 to 5 everywhere"
TABLE = np.array([[0, 1, 2, 3, 4, 5]])
# Functions of the size of a map, their own name, and what else they are called with.
SIZED = [
    pytest.param(lambda h, w: Path(TABLE, h, w), "Path", id="Path"),
    pytest.param(lambda h, w: Path.of(h, w, "h"), "Path.of", id="Path.of"),
    *[
        pytest.param(lambda *size, maker=maker: maker(*size, *extra(maker)), name, id=name)
        for name, maker in MAKERS.items()
    ],
]


def refused(error, function, *args, **options):
    """The message of the error that a call raises."""
    with pytest.raises(error) as caught:
        function(*args, **options)
    assert type(caught.value) is error
    return str(caught.value)


NO_INTEGERS = [
    (None, "None"),
    ("5", "'5' (str)"),
    (5.0, "5.0 (float)"),
    (True, "True (bool)"),
    (np.True_, "a numpy.bool"),
    (np.float32(5), "a numpy.float32"),
    (np.timedelta64(5), "a numpy.timedelta64"),
    (np.array(5), "a numpy.ndarray"),
    ([5], "a list"),
    (5 + 0j, "a complex"),
]
OUT_OF_RANGE = [
    (0, "0 (int)"),
    (-3, "-3 (int)"),
    (np.int8(-3), "-3 (int)"),
    (2**31, "2147483648 (int)"),
    pytest.param(10**5000, "an int", id="10**5000"),
]


@pytest.mark.parametrize(("value", "got"), NO_INTEGERS)
@pytest.mark.parametrize(("function", "name"), SIZED)
def test_a_size_that_is_no_integer_is_refused(function, name, value, got):
    height = refused(TypeError, function, value, 5)
    width = refused(TypeError, function, 5, value)

    assert height == f"{name}: height must be {INTEGER}; got {got}."
    assert width == f"{name}: width must be {INTEGER}; got {got}."


@pytest.mark.parametrize(("value", "got"), OUT_OF_RANGE)
@pytest.mark.parametrize(("function", "name"), SIZED)
def test_a_size_out_of_range_is_refused(function, name, value, got):
    height = refused(ValueError, function, value, 5)
    width = refused(ValueError, function, 5, value)

    assert height == f"{name}: height must be {INTEGER}; got {got}."
    assert width == f"{name}: width must be {INTEGER}; got {got}."


@pytest.mark.parametrize(("function", "name"), SIZED)
def test_a_map_with_more_pixels_than_int32_can_number_is_refused(function, name):
    message = refused(ValueError, function, 2**16, 2**15)

    assert message == f"{name}: height * width must be at most 2147483647; got 65536 * 32768."


@pytest.mark.parametrize(("maker", "name"), [("atrous", "step"), ("window", "size")])
@pytest.mark.parametrize(("value", "got"), NO_INTEGERS)
def test_a_step_or_window_that_is_no_integer_is_refused(maker, name, value, got):
    message = refused(TypeError, MAKERS[maker], 3, 5, value)

    assert message == f"{maker}: {name} must be {INTEGER}; got {got}."


@pytest.mark.parametrize(("maker", "name"), [("atrous", "step"), ("window", "size")])
@pytest.mark.parametrize(("value", "got"), OUT_OF_RANGE)
def test_a_step_or_window_out_of_range_is_refused(maker, name, value, got):
    message = refused(ValueError, MAKERS[maker], 3, 5, value)

    assert message == f"{maker}: {name} must be {INTEGER}; got {got}."


@pytest.mark.parametrize(
    ("maker", "name", "value", "entries"),
    [
        ("atrous", "step", 2**16, 2**32),
        ("atrous", "step", 46341, 46341**2),
        ("window", "size", 2**15, 2**31),
        ("window", "size", 2**31 - 1, 2 * (2**31 - 1) ** 2),
    ],
)
def test_padding_beyond_int32_is_refused_before_memory_is_asked_for(maker, name, value, entries):
    message = refused(ValueError, MAKERS[maker], 3, 5, value)

    assert message == (
        f"{maker}: {name} must be small enough for a table of at most 2147483647 entries; "
        f"got {value}, which pads 3 x 5 to {entries}."
    )


def test_more_steps_than_their_inverse_can_hold_are_refused_before_memory_is_asked_for():
    message = refused(ValueError, MAKERS["atrous"], 300, 300, 200)

    assert message == (
        "atrous: step must be small enough for step**2 * height * width of at most 2147483647; "
        "got 200 for 300 x 300."
    )


@pytest.mark.parametrize(
    ("routes", "error", "got"),
    [
        ([], ValueError, "none."),
        (["H"], ValueError, "'H' (str)."),
        ([""], ValueError, "'' (str)."),
        (["h", "v_flop"], ValueError, "'v_flop' (str)."),
        (["h_flip_flip"], ValueError, "'h_flip_flip' (str)."),
        (["w"], ValueError, "'w' (str)."),
        (["w0"], ValueError, "'w0' (str)."),
        (["w07"], ValueError, "'w07' (str)."),
        (["w-7"], ValueError, "'w-7' (str)."),
        (["w7\n"], ValueError, "'w7\\n' (str)."),
        (["w\u0667"], ValueError, "'w\u0667' (str)."),
        (["w" + "9" * 5000], ValueError, "a str."),
        ([7], TypeError, "7 (int)."),
        ([None], TypeError, "None."),
        ([b"h"], TypeError, "b'h' (bytes)."),
        ([["h", "v"]], TypeError, "a list. Pass each name by itself."),
        ([("h", "v")], TypeError, "a tuple. Pass each name by itself."),
    ],
)
def test_a_name_that_no_route_has_is_refused(routes, error, got):
    message = refused(error, Path.of, 3, 5, *routes)

    assert message == f"Path.of: routes must be {NAMES}; got {got}"


@pytest.mark.parametrize(
    ("routes", "got"),
    [
        (["w65536"], "1 of up to 4294967296 steps"),
        (["w9999999999"], "1 of up to 99999999980000000001 steps"),
        (["h", "w32768", "v"], "3 of up to 1073741824 steps"),
    ],
)
def test_routes_beyond_int32_are_refused_before_memory_is_asked_for(routes, got):
    message = refused(ValueError, Path.of, 3, 5, *routes)

    assert message == (
        "Path.of: routes must be few and short enough for a table of at most 2147483647 entries; "
        f"got {got}."
    )


@pytest.mark.parametrize(
    ("value", "got"),
    [("no", "'no' (str)"), (1, "1 (int)"), (None, "None"), (np.True_, "a numpy.bool")],
)
def test_joined_must_be_a_bool(value, got):
    messages = [
        refused(TypeError, Path, TABLE, 2, 3, joined=value),
        refused(TypeError, Path.of, 2, 3, "h", joined=value),
    ]

    assert messages == [
        f"Path: joined must be True or False; got {got}.",
        f"Path.of: joined must be True or False; got {got}.",
    ]


@pytest.mark.parametrize(
    ("table", "got"),
    [
        (None, "None."),
        ("h", "'h' (str)."),
        ([[0, 1]], "a list. Pass numpy.asarray(table)."),
        (((0, 1),), "a tuple. Pass numpy.asarray(table)."),
        (np.ma.array([[0, 1]]), "a numpy.MaskedArray."),
        (np.int32(0), "a numpy.int32."),
        (np.zeros((1, 6)), "one of float64."),
        (np.zeros((1, 6), bool), "one of bool."),
        (np.zeros((1, 6), object), "one of object."),
        (np.zeros((1, 6), "m8[s]"), "one of timedelta64[s]."),
    ],
)
def test_a_table_that_is_no_array_of_integers_is_refused(table, got):
    assert refused(TypeError, Path, table, 2, 3) == f"Path: table must be {ARRAY}; got {got}"


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((), ""),
        ((6,), " Pass table[None] for a single route."),
        ((0,), " Pass table[None] for a single route."),
        ((1, 2, 3), ""),
        ((0, 6), ""),
        ((4, 0), ""),
    ],
)
def test_a_table_of_another_shape_is_refused(shape, hint):
    message = refused(ValueError, Path, np.zeros(shape, int), 2, 3)

    assert message == f"Path: table must be (k, l) with k and l of at least 1; got {shape}.{hint}"


def test_a_table_with_more_entries_than_int32_can_number_is_refused():
    table = np.broadcast_to(np.int32(-1), (2**16, 2**15))

    message = refused(ValueError, Path, table, 2, 3)

    assert (
        message
        == "Path: table must be (k, l) with k * l of at most 2147483647; got (65536, 32768)."
    )


def test_a_table_whose_inverse_int32_cannot_number_is_refused_before_memory_is_asked_for():
    message = refused(ValueError, Path, np.zeros((2**16, 1), int), 2**15, 1)

    assert message == (
        "Path: table must be (k, l) with k * height * width of at most 2147483647; got (65536, 1) "
        "over 32768 x 1 pixels."
    )


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", ">i8"])
@pytest.mark.parametrize("entry", [-2, 6, -128, 127])
def test_an_entry_out_of_range_is_refused(dtype, entry):
    table = np.array([[0, 1, 2], [3, entry, 5]], dtype)

    message = refused(ValueError, Path, table, 2, 3)

    assert message == f"Path: table must be {NUMBER}; got {entry} in route 1, step 1."


@pytest.mark.parametrize(("dtype", "entry"), [("i8", 2**32), ("u4", 2**32 - 1), ("u8", 2**64 - 1)])
def test_an_entry_is_checked_before_it_becomes_int32(dtype, entry):
    message = refused(ValueError, Path, np.array([[0, entry]], dtype), 2, 3)

    assert message == f"Path: table must be {NUMBER}; got {entry} in route 0, step 1."


@pytest.mark.parametrize("table", [[[3, 1, 3]], [[0, 1, 2], [1, 3, 3]], [[3, -1, 3], [3, 3, 3]]])
def test_a_route_that_visits_a_pixel_twice_is_refused(table):
    route, steps = (1, (1, 2)) if table[0] == [0, 1, 2] else (0, (0, 2))

    message = refused(ValueError, Path, np.array(table), 2, 3)

    assert message == (
        "Path: table must be routes that visit a pixel at most once; "
        f"got pixel 3 twice in route {route}, at steps {steps[0]} and {steps[1]}."
    )


def test_two_routes_may_visit_the_same_pixel_and_padding_repeats():
    path = Path(np.array([[3, -1, -1], [3, -1, -1]]), 2, 3)

    assert (path.inverse >= 0).sum() == 2


@pytest.mark.parametrize("joined", [False, True])
def test_a_path_need_not_visit_anything(joined):
    path = Path(np.full((2, 4), -1), 2, 3, joined)

    assert (path.inverse == -1).all()
    assert path.draw()


@pytest.mark.parametrize(
    "text", ["", "cross", "2 2 0 1 4 ?", MAKERS["cross"](2, 2).text[:-8], "\ud800", "1 " * 6]
)
def test_a_text_that_is_no_path_is_refused(text):
    with pytest.raises(ValueError, match=r"^Path.from_text: text must be the text of a path; got "):
        Path.from_text(text)


def test_a_text_must_be_a_string():
    with pytest.raises(TypeError, match=r"^Path.from_text: text must be a string; got None.$"):
        Path.from_text(None)
