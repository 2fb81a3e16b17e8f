"""The operators as nodes of ONNX: onnxruntime's numbers are within the bounds of the kernels.

Graphs are put together here, since torch's exporter takes seconds; test_onnx_export.py has it.
"""

import numpy as np
import pytest
from harness import BFLOAT16, to_tensor
from map_strategies import FORMS, PATHS, make_map_problem
from moving import maps, sequences
from onnx_files import File
from strategies import make_problem
from tolerances import arithmetic, assert_within, expected, result_dtype

import reference
import selscan
from selscan.ops import contract, scan2d
from selscan.paths import Path, cross, window

ir = pytest.importorskip("onnx_ir")

from selscan.onnx import steps, translate  # noqa: E402
from selscan.onnx.nodes import Nodes  # noqa: E402
from selscan.torch import operators, operators2d, paths  # noqa: E402

# b, d, g, n, l all differ, so that no axis passes for another.
SIZES = {"b": 3, "d": 6, "g": 2, "n": 4, "l": 7}
SCANS = {
    "plain": {"given": ()},
    "all": {},
    "reverse": {"reverse": True, "layout": "bld"},
    "shared": {"form_b": "shared", "form_c": "shared", "layout": "bld"},
    "constant B": {"form_b": "constant", "reverse": True},
    "constant C": {"form_c": "constant", "delta_softplus": False},
    "constant": {"form_b": "constant", "form_c": "constant", "given": ("initial_state",)},
    "one step": {"l": 1},
    "one state": {"n": 1},
    "large": {"b": 1, "d": 64, "n": 16, "l": 300, "step": 0.1},
    "float16": {"dtype": "float16", "out_dtype": "float32"},
    "bfloat16": {"dtype": "bfloat16"},
}
WIDE = {"float64": {"dtype": "float64"}, "mixed": {"dtype": "mixed", "seed": 3}}
STEPS = {
    "all": {},
    "shared": {"form_b": "shared", "form_c": "constant"},
    "constant": {"form_b": "constant", "given": ("initial_state",), "delta_softplus": False},
    "as many channels as batch": {"b": 6, "form_b": "shared"},
    "float16": {"dtype": "float16"},
    "float64": {"dtype": "float64", "form_c": "shared"},
}
MAPS = {
    **{name: {"path": path} for name, path in PATHS.items()},
    "apart": {"path": window(5, 3, 2), "merge": False, "d": 5},
    "apart, joined": {"path": PATHS["joined with padding"], "merge": False},
    "of routes": {"path": cross(3, 5), "per_route": True, "given": ()},
    "of routes, joined": {"path": PATHS["joined with padding"], "per_route": True},
    "in order": {"path": window(5, 3, 2), "forms": (FORMS[0], *["in order"] * 3)},
    "in order, joined": {"path": PATHS["partial, joined"], "forms": (FORMS[1], *["in order"] * 3)},
    "float16": {"path": cross(3, 5), "dtype": "float16", "delta_softplus": False},
}
WIDE_MAPS = {"float64": {"path": cross(3, 5), "dtype": "float64", "out_dtype": "float32"}}
MOVED = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8")
ROUTES = Path.of(3, 5, "w2", "v_flip", "h")
NODES = {18: "Scan", 27: "LinearAttention"}


def cases(*tables):
    names = {name: case for table in tables for name, case in table.items()}
    return pytest.mark.parametrize("case", names.values(), ids=list(names))


def dtype_of(name):
    return ir.DataType[{"float32": "FLOAT", "float64": "DOUBLE"}.get(name, name.upper())]


def translated(operator, opset, arrays, *constants):
    """What an operator gives in onnxruntime, and the kinds of all nodes, those of a body too.

    The batch is of any length. bfloat16, which NumPy lacks, goes in and out as float32.
    """
    op, inputs, given = Nodes(), [], []
    for name, x in arrays.items():
        if x is None:
            given.append(None)
            continue
        is_batched = x.ndim > 2 and name != "A"
        shape = ir.Shape(["batch", *x.shape[1:]] if is_batched else x.shape)
        kind = ir.TensorType(dtype_of(fed(x).dtype.name))
        inputs.append(ir.Value(name=name, shape=shape, type=kind))
        given.append(op.cast(inputs[-1], dtype_of(x.dtype.name)))
    found = translate.functions(opset)[operator](op, *given, *constants)
    outputs = [op("Identity", x) for x in (found if isinstance(found, list) else [found])]
    if given[0].dtype == ir.DataType.BFLOAT16:
        outputs[0] = op("Cast", outputs[0], to=ir.DataType.FLOAT)
    for i, x in enumerate(outputs):
        x.name = f"y{i}"
    graph = ir.Graph(inputs, outputs, nodes=op.made, opset_imports={"": opset}, name="call")
    file = File(ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString())
    found = file(*(fed(x) for x in arrays.values() if x is not None))
    return found, [node.op_type for node in graph.all_nodes()]


def fed(x):
    """An array as it goes in."""
    return x.astype(np.float32) if x.dtype == BFLOAT16 else x


def inputs_of(problem, names):
    """Arrays by name, None where not given, and the dtype of y."""
    dtype = problem.get("out_dtype")
    return {name: problem.get(name) for name in names}, dtype and dtype_of(dtype)


def scanned(problem, opset):
    """y and the last state."""
    arrays, dtype = inputs_of(problem, contract.ARGUMENTS)
    constants = problem["delta_softplus"], problem["reverse"], problem["layout"], dtype
    return translated(operators.SCAN, opset, arrays, *constants, None, None, True)


def scanned2d(problem, opset):
    """y."""
    arrays, dtype = inputs_of(problem, scan2d.ARGUMENTS)
    constants = problem["path"].text, problem["delta_softplus"], problem["merge"], dtype
    return translated(operators2d.SCAN2D, opset, arrays, *constants, None)


def stored(y, problem):
    """y as it was before NumPy lacked its dtype."""
    y = y.astype(BFLOAT16) if result_dtype(problem) == BFLOAT16 else y
    assert y.dtype == result_dtype(problem)
    return y


def assert_scans(problem, opset):
    (y, last), kinds = scanned(problem, opset)
    assert kinds.count(NODES[opset]) == 1
    assert_within((stored(y, problem), last), *expected(problem), arithmetic(problem))


def assert_scans_maps(problem, opset):
    [y], kinds = scanned2d(problem, opset)
    assert kinds.count(NODES[opset]) == 1
    given = {x: v for x, v in problem.items() if x != "out_dtype"}
    want, bounds = reference.scan2d(**given), reference.scan2d_error_bound(**given)
    assert_within(stored(y, problem), want, bounds, arithmetic(problem))


@cases(SCANS, WIDE)
def test_scan_matches_the_reference(case):
    assert_scans(make_problem(**SIZES | case), 18)


@cases(SCANS)
def test_scan_by_linear_attention_matches_the_reference(case):
    assert_scans(make_problem(**SIZES | case), 27)


@cases(MAPS, WIDE_MAPS)
def test_scan2d_matches_the_reference(case):
    assert_scans_maps(make_map_problem(**{"b": 2} | case), 18)


@cases(MAPS)
def test_scan2d_by_linear_attention_matches_the_reference(case):
    assert_scans_maps(make_map_problem(**{"b": 2} | case), 27)


@pytest.mark.parametrize("opset", NODES)
def test_nodes_are_as_many_whatever_the_length(opset):
    of_scans = [scanned(make_problem(**SIZES | {"l": l}), opset)[1] for l in (1, 7, 300)]
    sizes = (5, 3), (5, 7), (15, 21)  # all in windows with padding
    of_maps = [scanned2d(make_map_problem(b=2, path=window(*size, 2)), opset)[1] for size in sizes]
    for kinds in (of_scans, of_maps):
        assert kinds[0] == kinds[1] == kinds[2]
        assert "Loop" not in kinds[0]


@cases(STEPS)
def test_a_step_as_operators_of_torch_matches_the_reference(case):
    problem = make_problem(**SIZES | {"l": 1} | case)
    given = {x: to_tensor(v) for x, v in problem.items() if isinstance(v, np.ndarray)}
    for name in {"u", "delta", "z", "B", "C"} & given.keys():
        given[name] = given[name][..., 0] if given[name].dim() > 2 else given[name]
    state = given.pop("initial_state")
    missing = dict.fromkeys(("D", "z", "delta_bias"))

    options = {"delta_softplus": problem["delta_softplus"], "backend": None}
    y, last = steps.step(state, **missing | given, **options)

    assert (y.dtype, last.dtype) == (given["u"].dtype, state.dtype)
    (want, of_state), (bounds, state_bounds) = expected(problem)
    want, bounds = (want[..., 0], of_state), (bounds[..., 0], state_bounds)
    assert_within((y.numpy(), last.numpy()), want, bounds, arithmetic(problem))


@pytest.mark.parametrize("dtype", MOVED)
@pytest.mark.parametrize("per_route", [False, True])
def test_gather_is_exact(dtype, per_route):
    x = maps(ROUTES, dtype, per_route=per_route)
    [found], _ = translated(paths.GATHER, 18, {"x": x}, ROUTES.text, None)

    assert_same(found, selscan.gather(x, ROUTES))


@pytest.mark.parametrize("dtype", MOVED)
@pytest.mark.parametrize("merge", [True, False])
def test_scatter_is_exact(dtype, merge):
    y = sequences(ROUTES, dtype)
    [found], _ = translated(paths.SCATTER, 18, {"y": y}, ROUTES.text, merge, None)

    assert_same(found, selscan.scatter(y, ROUTES, merge))


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_unsigned_integers_are_summed(dtype):
    """From the largest down: sums wrap around."""
    y = np.iinfo(dtype).max - sequences(ROUTES, "uint8").astype(dtype)
    [found], _ = translated(paths.SCATTER, 18, {"y": y}, ROUTES.text, True, None)

    assert_same(found, selscan.scatter(y.astype(np.int64), ROUTES).astype(dtype))


def test_padding_takes_nothing_of_an_infinite_pixel():
    x = np.full((1, 1, 3, 5), np.inf, np.float32)
    [found], _ = translated(paths.GATHER, 18, {"x": x}, ROUTES.text, None)

    assert_same(found, selscan.gather(x, ROUTES))


def assert_same(found, want):
    assert found.dtype == (np.float32 if want.dtype == BFLOAT16 else want.dtype)
    np.testing.assert_array_equal(found, want.astype(found.dtype))
