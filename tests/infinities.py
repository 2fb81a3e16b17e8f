"""Problems with infinities and NaN in some places, and results beside those of the reference."""

import numpy as np
from hypothesis import strategies as st
from strategies import Drawn
from tolerances import arithmetic, assert_within, parts, wide

VALUES = (np.inf, -np.inf, np.nan)


@st.composite
def spoiled(draw, problem, names):
    """The problem with one to three of VALUES in arrays of `names`."""
    names = sorted(x for x in names if x in problem and problem[x].size)
    changed, text = dict(problem), [getattr(problem, "text", "")]
    for _ in range(draw(st.integers(1, 3))):
        name, value = draw(st.sampled_from(names)), draw(st.sampled_from(VALUES))
        array = changed[name].copy()
        i = tuple(draw(st.integers(0, size - 1)) for size in array.shape)
        array[i] = value
        changed[name] = array
        text.append(f"{name}[{i}] = {value}")
    result = Drawn(changed)
    result.text = "; ".join(text)
    return result


def assert_like(got, want, bounds, problem):
    """Infinities and NaN where the reference has them, and the other numbers within bounds.

    Of a complex number that is not finite any part may be infinite or NaN: that depends on the
    order of products.
    """
    is_complex = np.iscomplexobj(problem["A"])
    if not isinstance(want, tuple):
        got, want, bounds = (got,), (want,), (bounds,)
    names = getattr(want, "_fields", range(len(want)))
    for name, x, y, bound in zip(names, got, want, bounds, strict=True):
        assert (x is None) == (y is None), name
        if y is None:
            continue
        a, b = parts(wide(x)), parts(y)
        if is_complex:
            here, there = (~np.isfinite(v).all(-1) for v in (a, b))
            np.testing.assert_array_equal(here, there, err_msg=f"{name}: finite")
        else:
            finite = np.isfinite(b)
            np.testing.assert_array_equal(a[~finite], b[~finite], err_msg=f"{name}: not finite")
            assert np.isfinite(a[finite]).all(), f"{name}: {a[finite]} for {b[finite]}"
            there = ~finite[..., 0]
        clean = np.where(there | ~np.isfinite(bound), 0, 1)
        with np.errstate(all="ignore"):
            kept = (np.where(clean, v, 0) for v in (x, y, bound))
            assert_within(*kept, arithmetic(problem))
