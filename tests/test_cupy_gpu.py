"""Calls on a real GPU: numbers, streams, devices, CUDA graphs. Never run where there is none."""

import subprocess
import sys

import numpy as np
import pytest
from cuda_parts import in_threads
from harness import to_numpy, to_tensor
from path_strategies import orders
from strategies import make_problem, with_gradients
from tolerances import arithmetic, assert_within, expected, expected_gradients

import selscan
from reference.scan_backward import ScanGrads

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", autouse=True)
def gpu():
    """Skip where the backend cannot be used, or where torch has no CUDA."""
    [info] = [x for x in selscan.list_backends() if x.name == "cupy"]
    if not info.usable:
        pytest.skip(f"cupy: {info.reason}")
    if not torch.cuda.is_available():
        pytest.skip("this torch was built without CUDA, or finds no GPU")


def on_gpu(problem, device="cuda:0"):
    return {
        x: to_tensor(v).to(device) if isinstance(v, np.ndarray) else v for x, v in problem.items()
    }


def scan(tensors, **options):
    return selscan.scan(**tensors, return_last_state=True, **options)


def assert_right(problem, results):
    got = tuple(map(to_numpy, results))
    assert_within(got, *expected(problem), arithmetic(problem))


SHAPES = {
    "few rows": {"b": 1, "d": 6, "n": 16, "l": 3000},
    "one state": {"b": 2, "d": 96, "n": 1, "l": 197},
    "odd": {"b": 3, "d": 10, "g": 2, "n": 5, "l": 131},
    "many rows": {"b": 8, "d": 128, "n": 16, "l": 64},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_scan_matches_the_reference(dtype, reverse, layout, shape):
    wide = "float64" if dtype == "float64" else "float32"
    problem = make_problem(**SHAPES[shape], dtype=wide, layout=layout, reverse=reverse)
    for name in problem.keys() & {"u", "delta", "z", "B", "C"}:
        problem[name] = problem[name].astype(dtype)

    assert_right(problem, scan(on_gpu(problem)))


def test_the_same_call_gives_the_same_bits():
    tensors = on_gpu(make_problem(b=2, d=64, n=16, l=1000))
    want = scan(tensors)

    for _ in range(20):
        assert all(map(torch.equal, scan(tensors), want))


@pytest.fixture
def slow_copy():
    """Copy a tensor on the current stream, after a wait of some milliseconds there."""

    def copy(target, source):
        torch.cuda._sleep(50_000_000)
        target.copy_(source)

    return copy


def test_a_scan_waits_for_its_stream_and_for_no_other(slow_copy):
    problem = make_problem(b=2, d=8, n=4, l=100)
    tensors = on_gpu(problem)
    u = torch.full_like(tensors["u"], torch.nan)
    scan(tensors | {"u": u})  # compiled
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())

    with torch.cuda.stream(side):
        slow_copy(u, tensors["u"])
        results = scan(tensors | {"u": u})
        assert not side.query()  # the call came back before the copy was done

    side.synchronize()
    assert_right(problem, results)


def test_a_call_does_not_wait_for_the_gpu():
    tensors = on_gpu(make_problem(b=2, d=8, n=4, l=100))
    scan(tensors)
    torch.cuda.synchronize()

    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.cuda._sleep(50_000_000)
        scan(tensors)
        assert not torch.cuda.current_stream().query()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_scan_is_captured_in_a_graph_and_replayed():
    problem = make_problem(b=2, d=8, n=4, l=100)
    tensors = on_gpu(problem)
    scan(tensors)  # compiled and loaded: both cannot be captured
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = scan(tensors)
    rng = np.random.default_rng(1)

    for _ in range(3):
        problem["u"] = rng.normal(size=problem["u"].shape).astype(np.float32)
        tensors["u"].copy_(torch.from_numpy(problem["u"]))
        graph.replay()
        assert_right(problem, results)


def test_a_step_is_captured_in_a_graph():
    problem = make_problem(b=2, d=8, n=4, l=1)
    step = {x: v for x, v in problem.items() if x not in ("reverse", "layout", "initial_state")}
    timed = ("u", "delta", "z", "B", "C")
    step |= {x: v[..., 0] for x, v in step.items() if x in timed and v.ndim > 2}
    tensors, state = on_gpu(step), to_tensor(problem["initial_state"]).cuda()
    selscan.scan_step(state.clone(), **tensors)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y, _ = selscan.scan_step(state, **tensors)

    graph.replay()

    assert_right(problem, (y.unsqueeze(-1), state))


def test_a_compiled_function_is_right():
    problem = make_problem(b=2, d=8, n=4, l=100)
    compiled = torch.compile(lambda tensors: scan(tensors), fullgraph=True)

    assert_right(problem, compiled(on_gpu(problem)))


ORDERS = """
import torch, selscan
table = torch.arange(12, device="cuda").repeat(2, 2, 1)
selscan.gather(torch.ones(2, 1, 3, 4, device="cuda"), table)
torch.cuda.synchronize()
print("right")
table[1, 1, 2] = {}
selscan.gather(torch.ones(2, 1, 3, 4, device="cuda"), table)
torch.cuda.synchronize()
"""


@pytest.mark.parametrize("number", [12, 1])
def test_a_wrong_number_of_orders_ends_what_a_process_does_on_the_gpu(number):
    code = [sys.executable, "-c", ORDERS.format(number)]

    done = subprocess.run(code, capture_output=True, text=True)

    assert done.stdout == "right\n"
    assert "Assertion" in done.stderr
    assert "path must be" in done.stderr
    assert "device-side assert triggered" in done.stderr


def test_orders_per_sample_have_the_results_of_the_cpu():
    table = torch.from_numpy(orders((5, 7), l=33))
    delta, B, C = torch.rand(3, 2, 2, 6, 5, 7)
    inputs = torch.rand(2, 6, 5, 7), delta, -torch.rand(2, 6, 6), B, C

    def results(device):
        given = [x.to(device).requires_grad_() for x in inputs]
        order = table.to(device)
        gathered = selscan.gather(given[0], order)
        y = selscan.scan2d(*given, path=order)
        loss = (y + selscan.scatter(gathered, order, size=(5, 7))).square().sum()
        return [x.detach().cpu() for x in (gathered, y, *torch.autograd.grad(loss, given))]

    for one, other in zip(results("cuda"), results("cpu"), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_threads_scan_at_the_same_time():
    problem, results = make_problem(b=2, d=8, n=4, l=100), {}

    def work(i):
        with torch.cuda.stream(torch.cuda.Stream()):
            results[i] = scan(on_gpu(problem))
            torch.cuda.current_stream().synchronize()

    in_threads(8, work)

    for found in results.values():
        assert_right(problem, found)


def backward(tensors):
    return selscan.scan_backward(**tensors)


def assert_gradients_right(problem, gradients):
    got = tuple(map(to_numpy, gradients))
    assert_within(got, *expected_gradients(problem), arithmetic(problem))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", ["bdl", "bld"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_match_the_reference(dtype, reverse, layout, shape):
    wide = "float64" if dtype == "float64" else "float32"
    problem = make_problem(**SHAPES[shape], dtype=wide, layout=layout, reverse=reverse)
    problem = with_gradients(problem)
    for name in problem.keys() & {"u", "delta", "z", "B", "C", "dy"}:
        problem[name] = problem[name].astype(dtype)

    assert_gradients_right(problem, backward(on_gpu(problem)))


def test_the_same_backward_gives_the_same_bits():
    tensors = on_gpu(with_gradients(make_problem(b=1, d=640, n=16, l=1000)))
    want = backward(tensors)

    for _ in range(20):
        assert all(map(torch.equal, backward(tensors), want))


def test_a_backward_does_not_wait_for_the_gpu():
    tensors = on_gpu(with_gradients(make_problem(b=2, d=8, n=4, l=100)))
    backward(tensors)
    torch.cuda.synchronize()

    torch.cuda.set_sync_debug_mode("error")
    try:
        torch.cuda._sleep(50_000_000)
        backward(tensors)
        assert not torch.cuda.current_stream().query()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_backward_is_captured_in_a_graph_and_replayed():
    problem = with_gradients(make_problem(b=2, d=8, n=4, l=100))
    tensors = on_gpu(problem)
    backward(tensors)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradients = backward(tensors)
    problem["dy"] = np.random.default_rng(1).normal(size=problem["dy"].shape).astype(np.float32)
    tensors["dy"].copy_(torch.from_numpy(problem["dy"]))

    graph.replay()

    assert_gradients_right(problem, gradients)


def test_autograd_goes_backward():
    problem = with_gradients(make_problem(b=2, d=8, n=4, l=100))
    tensors = on_gpu(problem)
    dy, dlast = tensors.pop("dy"), tensors.pop("dlast_state")
    leaves = [tensors[x].requires_grad_() for x in ScanGrads._fields]

    found = torch.autograd.grad(scan(tensors), leaves, (dy, dlast))

    assert_gradients_right(problem, found)


def test_memory_of_a_backward_is_that_of_its_results_and_of_little_more():
    b, d, l, n = 4, 1024, 2048, 16
    problem = make_problem(b=b, d=d, n=n, l=l, given=())
    tensors = on_gpu(with_gradients(problem, last=False))
    backward(tensors)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()

    gradients = backward(tensors)

    results = sum(x.nbytes for x in gradients if x is not None)
    states, parts = 4 * b * (l // 32) * d * n, 8 * 2 * 4 * b * n * l
    summed = 32 * b * 4 * d * n  # of A, over segments and batch
    peak = torch.cuda.max_memory_allocated() - before
    assert peak <= 1.05 * (results + states + parts + summed) + 2**21


@pytest.fixture
def second():
    if torch.cuda.device_count() < 2:
        pytest.skip("there is one GPU")
    return "cuda:1"


def test_tensors_on_a_device_that_is_not_the_current_one(second):
    problem = make_problem(b=2, d=8, n=4, l=100)

    results = scan(on_gpu(problem, second))

    assert torch.cuda.current_device() == 0
    assert {str(x.device) for x in results} == {second}
    assert_right(problem, results)


@pytest.fixture
def cupy():
    return pytest.importorskip("cupy")


def test_arrays_of_cupy_on_a_stream_of_its_own(cupy):
    problem = make_problem(b=2, d=8, n=4, l=100)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        arrays = {
            x: cupy.asarray(v) if isinstance(v, np.ndarray) else v for x, v in problem.items()
        }
        results = selscan.scan(**arrays, return_last_state=True)
        assert all(type(x) is cupy.ndarray for x in results)
        stream.synchronize()

    assert_right(problem, tuple(map(cupy.asnumpy, results)))


def test_arrays_of_cupy_on_another_device(cupy, second):
    problem = make_problem(b=2, d=8, n=4, l=100)
    with cupy.cuda.Device(1):
        arrays = {
            x: cupy.asarray(v) if isinstance(v, np.ndarray) else v for x, v in problem.items()
        }

    results = selscan.scan(**arrays, return_last_state=True)

    assert {x.device.id for x in results} == {1}
    assert_right(problem, tuple(map(cupy.asnumpy, results)))


def test_arrays_of_numba():
    cuda = pytest.importorskip("numba.cuda")
    problem = make_problem(b=2, d=8, n=4, l=100)
    arrays = {x: cuda.to_device(v) if isinstance(v, np.ndarray) else v for x, v in problem.items()}

    results = selscan.scan(**arrays, return_last_state=True)

    assert {type(x) for x in results} == {type(arrays["u"])}
    assert_right(problem, tuple(x.copy_to_host() for x in results))


def test_arrays_with_dlpack(cupy):
    class Exchanged:
        """An array of a library that has DLPack and nothing else."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **keywords):
            return self.array.__dlpack__(**keywords)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

        def __array_namespace__(self):
            return type("xp", (), {"from_dlpack": lambda x: Exchanged(torch.from_dlpack(x))})

    problem = make_problem(b=2, d=8, n=4, l=100)
    arrays = {x: Exchanged(v) if torch.is_tensor(v) else v for x, v in on_gpu(problem).items()}

    results = selscan.scan(**arrays, return_last_state=True)

    assert_right(problem, tuple(to_numpy(x.array) for x in results))
