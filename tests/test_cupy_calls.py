"""Calls with tensors on GPUs up to the launch: streams, devices, memory, checks; no GPU needed."""

from types import SimpleNamespace

import devices as fakes
import pytest
from calls import INPUTS, STEP_SHAPES, argument, arguments, call

import selscan
from selscan import backends
from selscan.backends import cupy
from selscan.backends.cupy import gpu
from selscan.ops import scan as ops
from selscan.ops import step as steps

torch = pytest.importorskip("torch")

ALL = ("scan", "scan_step")
SERVED = tuple(x for x in backends.OPERATORS if x in cupy.SERVES)
function = pytest.mark.parametrize("function", ALL)


def refused(error, devices, function, framework="torch", **replaced):
    """The message of a call that launches and allocates nothing."""
    with pytest.raises(error) as caught:
        call(function, framework, **replaced)
    assert devices.launches == devices.allocated == devices.loaded == []
    return str(caught.value)


# ---- torch -------------------------------------------------------------------------------------


@function
def test_a_kernel_runs_on_the_current_stream_of_the_tensors_device(devices, function):
    devices.streams = {0: 11, 1: 22}

    call(function, "torch")
    devices.streams[0] = 33  # with torch.cuda.stream(...)
    call(function, "torch")

    assert [(x.device, x.stream) for x in devices.launches] == [(0, 11), (0, 33)]


@function
def test_tensors_on_another_device_are_scanned_there(devices, function, monkeypatch):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cuda:2")
    devices.streams = {0: 11, 2: 22}

    call(function, "torch")

    assert [(x.device, x.stream) for x in devices.launches] == [(2, 22)]
    assert set(devices.allocated) == {"cuda:2"}


@function
def test_the_plan_of_a_call_is_made_once_for_each_device(devices, function, monkeypatch):
    prepare = {"scan": ops.prepare_forward, "scan_step": steps.prepare_step}[function]
    call(function, "torch")
    before = prepare.cache_info().misses
    call(function, "torch")
    assert prepare.cache_info().misses == before

    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cuda:1")
    call(function, "torch")

    assert [x.device for x in devices.launches] == [0, 0, 1]
    assert len(devices.compiler.compiled) == 1  # once for both devices
    assert [device for *_, device in devices.loaded] == [0, 1]


def test_only_results_are_allocated_and_by_torch(devices):
    call("scan", "torch", return_last_state=False)
    assert devices.allocated == ["cuda:0"]
    call("scan", "torch")
    assert devices.allocated == ["cuda:0"] * 3
    call("scan_step", "torch")
    assert devices.allocated == ["cuda:0"] * 4


@pytest.mark.parametrize("name", ["delta", "A", "D", "initial_state"])
def test_tensors_on_two_devices_are_refused(devices, name, monkeypatch):
    shapes = {"delta": (2, 4, 6)}
    there = tuple(shapes.get(name, argument("scan", name).shape))
    place = lambda shape: "cuda:1" if shape == there else "cuda:0"  # noqa: E731
    fakes.put_tensors_on(monkeypatch, devices, place)

    message = refused(ValueError, devices, "scan", **{name: torch.ones(there)})

    assert message == f"scan: {name} must be on cuda:0 like u; got cuda:1."


def test_a_tensor_on_the_cpu_among_others_is_refused(devices, monkeypatch):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cpu" if shape == (4,) else "cuda:0")

    message = refused(ValueError, devices, "scan")

    assert message == "scan: D must be on cuda:0 like u; got cpu."


@function
def test_the_cpu_backend_does_not_take_tensors_on_a_gpu(devices, function):
    message = refused(ValueError, devices, function, backend="cpu")

    assert message == (
        f"{function}: backend must be one for arrays on cuda:0; got 'cpu', which works on cpu "
        "arrays."
    )


@pytest.mark.parametrize(("function", "name"), [(f, x) for f in ALL for x in INPUTS[f]])
def test_arguments_are_checked_before_any_work(devices, function, name):
    tensor = argument(function, name, "torch", "int32")

    message = refused(TypeError, devices, function, **{name: tensor})

    assert message.startswith(f"{function}: {name} must be ")
    assert "; got int32." in message


@function
def test_a_numpy_array_among_tensors_on_a_gpu_is_refused(devices, function):
    message = refused(TypeError, devices, function, D=argument(function, "D"))

    first = "state" if function == "scan_step" else "u"
    assert message == f"{function}: D must be a torch tensor like {first}; got a numpy.ndarray."


def test_an_input_on_the_bytes_of_the_state_is_refused(devices):
    state = torch.zeros(STEP_SHAPES["state"])

    message = refused(ValueError, devices, "scan_step", state=state, u=state[..., 0])

    assert message.startswith("scan_step: u must be in other memory than state")


def test_a_state_that_does_not_fit_into_shared_memory_is_refused(devices):
    n = 20_000
    shapes = {"A": (4, n), "B": (2, n, 5), "C": (2, n, 5), "initial_state": (2, 4, n)}

    message = refused(
        ValueError, devices, "scan", **{x: torch.ones(shape) for x, shape in shapes.items()}
    )

    assert message.startswith("scan: d_state must be small enough for the ")


def test_a_compiled_function_has_the_operator_in_its_graph(devices):
    given = arguments("scan", "torch") | {"out_dtype": torch.float64}
    compiled = torch.compile(selscan.scan, fullgraph=True, backend="aot_eager")

    y, _ = compiled(**given)

    assert (y.shape, y.dtype) == ((2, 4, 5), torch.float64)
    assert len(devices.launches) == 1


@pytest.mark.parametrize("device", ["cuda:0", "cuda:1"])
def test_an_operator_has_fake_results_on_the_gpu_of_its_inputs(devices, device):
    with torch._subclasses.FakeTensorMode():
        u = torch.ones(2, 4, 5, device=device)
        A, B = (torch.ones(shape, device=device) for shape in ((4, 3), (2, 3, 5)))
        y, last = selscan.scan(u, u, A, B, B, return_last_state=True)

    assert [str(x.device) for x in (y, last)] == [device] * 2
    assert devices.launches == []


# ---- gradients ---------------------------------------------------------------------------------

LONG = {"u": (2, 4, 70), "delta": (2, 4, 70), "z": (2, 4, 70), "dy": (2, 4, 70)}
LONG |= {"B": (2, 3, 70), "C": (2, 3, 70)}  # three chunks: states are kept


def long(function, **replaced):
    """Arguments of a call with more than one chunk of time."""
    tensors = {x: torch.ones(shape) for x, shape in LONG.items() if x in INPUTS[function]}
    return arguments(function, "torch") | tensors | replaced


def kernels(devices):
    return [launch.kernel.partition("<")[0] for launch in devices.launches]


def test_a_backward_runs_on_the_current_stream_of_the_tensors_device(devices, monkeypatch):
    fakes.put_tensors_on(monkeypatch, devices, lambda shape: "cuda:2")
    devices.streams = {0: 11, 2: 22}

    selscan.scan_backward(**long("scan_backward"))

    assert kernels(devices) == ["scan_forward", "scan_backward", "sum_parts"]
    assert {(x.device, x.stream) for x in devices.launches} == {(2, 22)}
    assert set(devices.allocated) == {"cuda:2"}


def test_one_chunk_needs_no_forward(devices):
    call("scan_backward", "torch")

    assert kernels(devices) == ["scan_backward", "sum_parts"]


def test_the_backward_of_a_scan_begins_from_the_states_of_its_forward(devices):
    u = torch.ones(LONG["u"]).requires_grad_()
    y, last = selscan.scan(**long("scan", u=u))
    assert kernels(devices) == ["scan_forward"]

    (y.sum() + last.sum()).backward()

    assert kernels(devices) == ["scan_forward", "scan_backward", "sum_parts"]
    assert u.grad.shape == u.shape


def test_a_backward_allocates_gradients_and_parts_of_those_that_are_summed(devices):
    selscan.scan_backward(**long("scan_backward"))

    gradients, parts, states = 9, 3, 1  # of A, D and delta_bias over the batch
    assert len(devices.allocated) == gradients + parts + states


def test_the_backward_of_a_step(devices):
    u = argument("scan_step", "u", "torch").requires_grad_()
    y, _ = call("scan_step", "torch", u=u)

    y.sum().backward()

    assert kernels(devices) == ["scan_forward", "scan_backward", "sum_parts"]
    assert u.grad.shape == u.shape


def test_an_operator_goes_backward(devices):
    u = argument("scan", "u", "torch").requires_grad_()

    with torch.utils.flop_counter.FlopCounterMode(display=False):
        y, _ = call("scan", "torch", u=u)
        y.sum().backward()

    assert kernels(devices) == ["scan_forward", "scan_backward", "sum_parts"]


def test_torch_func_grad_goes_backward(devices):
    def loss(u):
        return call("scan", "torch", u=u)[0].sum()

    gradient = torch.func.grad(loss)(argument("scan", "u", "torch"))

    assert gradient.shape == (2, 4, 5)
    assert kernels(devices) == ["scan_forward", "scan_backward", "sum_parts"]


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_backward_of_a_compiled_function(devices, dynamic):
    u = torch.ones(LONG["u"]).requires_grad_()
    compiled = torch.compile(selscan.scan, fullgraph=True, backend="aot_eager", dynamic=dynamic)

    y, _ = compiled(**long("scan", u=u))
    y.sum().backward()

    assert kernels(devices) == ["scan_forward", "scan_backward", "sum_parts"]


def test_states_that_do_not_fit_into_shared_memory_of_the_backward_are_refused(devices):
    n = 1000
    shapes = {"A": (4, n), "B": (2, n, 5), "C": (2, n, 5), "initial_state": (2, 4, n)}
    shapes |= {"dlast_state": (2, 4, n)}

    message = refused(
        ValueError, devices, "scan_backward", **{x: torch.ones(s) for x, s in shapes.items()}
    )

    assert message.startswith("scan: d_state must be small enough for the ")
    assert "of the backward" in message


# ---- what is missing ---------------------------------------------------------------------------


def test_what_is_missing_is_told_by_a_call_and_by_list_backends(devices, missing):
    message = refused(selscan.BackendUnavailable, devices, "scan")

    assert message == f"scan: backend 'cupy' cannot be used: {missing}."
    [info] = [x for x in selscan.list_backends() if x.name == "cupy"]
    reason = missing.partition(";")[0]
    assert info == ("cupy", False, reason, "", SERVED)


def test_a_usable_backend_is_listed(devices):
    [info] = [x for x in selscan.list_backends() if x.name == "cupy"]

    assert info == ("cupy", True, "", "a GPU", SERVED)


def test_properties_of_a_device_are_read_once(monkeypatch):
    asked = []

    class Device:
        def __init__(self, number):
            asked.append(number)
            self.attributes = {
                "MultiProcessorCount": 132,
                "MaxSharedMemoryPerBlockOptin": 232448,
                "MaxSharedMemoryPerMultiprocessor": 233472,
            }

    cupy = SimpleNamespace(cuda=SimpleNamespace(Device=Device))
    monkeypatch.setattr(gpu, "import_cupy", lambda: cupy)
    gpu.properties.cache_clear()
    try:
        found = [gpu.properties(number) for number in (1, 0, 1)]
    finally:
        gpu.properties.cache_clear()

    assert found == [(132, 232448, 233472)] * 3
    assert asked == [1, 0]


@pytest.mark.parametrize(("count", "expected"), [(1, "NVIDIA H200"), (3, "NVIDIA H200 and 2 more")])
def test_people_are_told_the_name_of_the_first_gpu(monkeypatch, count, expected):
    runtime = SimpleNamespace(
        getDeviceProperties=lambda number: {"name": b"NVIDIA H200"}, getDeviceCount=lambda: count
    )
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(gpu, "import_cupy", lambda: cupy)

    assert gpu.detail() == expected
