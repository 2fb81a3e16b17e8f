"""selscan.patch: what names lead to, and that everything is left as it was found."""

import importlib
import importlib.util
import sys
import threading

import pytest

torch = pytest.importorskip("torch")

import selscan  # noqa: E402
from selscan.compat import aliases, patching, rebinding  # noqa: E402

INTERFACE = "mamba_ssm.ops.selective_scan_interface"
pytestmark = pytest.mark.usefixtures("as_found")


def test_names_lead_to_selscan_while_it_is_on():
    with selscan.patch() as found:
        for name in aliases.TABLE:
            module = importlib.import_module(name)

            assert found.names[name] == "selscan"
            assert module.__name__ == module.__spec__.name == name
            assert module.__file__ == module.__spec__.origin
            assert importlib.util.find_spec(name) is module.__spec__
    for name in aliases.TABLE:
        assert name not in sys.modules
        assert importlib.util.find_spec(name) is None


def test_packages_are_packages_with_a_version():
    with selscan.patch():
        import causal_conv1d
        import mamba_ssm
        import selective_scan_cuda

        assert mamba_ssm.__path__ == causal_conv1d.__path__ == []
        assert mamba_ssm.__spec__.submodule_search_locations == []
        assert mamba_ssm.ops.selective_scan_interface.__package__ == "mamba_ssm.ops"
        assert not hasattr(selective_scan_cuda, "__path__")
        assert [int(x) for x in mamba_ssm.__version__.split(".")] < [2, 0, 4]
        assert causal_conv1d.__version__


NAMES = {
    "mamba_ssm": "Mamba MambaLMHeadModel mamba_inner_fn selective_scan_fn",
    INTERFACE: "selective_scan_fn selective_scan_ref mamba_inner_fn mamba_inner_ref "
    "bimamba_inner_fn bimamba_inner_ref mamba_inner_fn_no_out_proj "
    "SelectiveScanFn MambaInnerFn BiMambaInnerFn MambaInnerFnNoOutProj",
    "mamba_ssm.modules.mamba_simple": "Mamba Block",
    "mamba_ssm.modules.block": "Block",
    "mamba_ssm.ops.triton.layer_norm": "RMSNorm layer_norm_fn rms_norm_fn",
    "mamba_ssm.ops.triton.layernorm": "RMSNorm layer_norm_fn rms_norm_fn",
    "mamba_ssm.ops.triton.layernorm_gated": "RMSNorm LayerNorm rmsnorm_fn layernorm_fn",
    "mamba_ssm.ops.triton.selective_state_update": "selective_state_update",
    "mamba_ssm.utils.hf": "load_config_hf load_state_dict_hf",
    "mamba_ssm.utils.generation": "GenerationMixin InferenceParams decode",
    "mamba_ssm.models.config_mamba": "MambaConfig",
    "mamba_ssm.models.mixer_seq_simple": "MixerModel MambaLMHeadModel _init_weights create_block",
    "causal_conv1d": "causal_conv1d_fn causal_conv1d_update",
    "causal_conv1d.causal_conv1d_interface": "causal_conv1d_fn causal_conv1d_ref "
    "causal_conv1d_update causal_conv1d_update_ref",
    "causal_conv1d.cpp_functions": "causal_conv1d_fwd_function causal_conv1d_bwd_function "
    "causal_conv1d_update_function",
    "causal_conv1d_cuda": "causal_conv1d_fwd causal_conv1d_bwd causal_conv1d_update",
}


@pytest.mark.parametrize("module", NAMES)
def test_what_third_party_code_imports_is_there(module):
    with selscan.patch():
        found = importlib.import_module(module)

        assert all(callable(getattr(found, name)) for name in NAMES[module].split())


@pytest.mark.parametrize(
    "line",
    [
        "from mamba_ssm import Mamba2",
        "import mamba_ssm.modules.mamba2",
        "from mamba_ssm.modules.mamba3 import Mamba3",
        "from mamba_ssm.ops.triton.ssd_combined import mamba_chunk_scan_combined",
        "from mamba_ssm.ops.triton import ssd_combined",
    ],
)
def test_what_is_of_mamba_2_says_so(line):
    with selscan.patch(), pytest.raises(ImportError, match="selscan has neither Mamba-2"):
        exec(line)


def test_other_names_are_not_found():
    with selscan.patch():
        for name in ("mamba_ssm.nothing", "selective_scan_cuda.nothing"):
            with pytest.raises(ModuleNotFoundError):
                importlib.import_module(name)
        import mamba_ssm

        assert not hasattr(mamba_ssm, "nothing")


def test_some_names_may_be_chosen():
    with selscan.patch(["mamba_ssm", "causal_conv1d"]) as found:
        assert list(found.names) == ["causal_conv1d", "mamba_ssm"]
        assert importlib.util.find_spec("selective_scan_cuda") is None
    with selscan.patch("selective_scan_cuda") as found:
        assert str(found) == "selective_scan_cuda          selscan"


def test_patches_may_be_nested_and_undone_in_any_order():
    first, second = selscan.patch(), selscan.patch("mamba_ssm")
    import mamba_ssm

    first.undo()
    first.undo()
    assert sys.modules["mamba_ssm"] is mamba_ssm
    assert importlib.util.find_spec("mamba_ssm") is not None
    with selscan.patch():
        assert sys.modules["mamba_ssm"] is mamba_ssm
    second.undo()
    assert "mamba_ssm" not in sys.modules


def test_it_may_be_called_in_many_threads():
    errors, start = [], threading.Barrier(6)

    def work():
        try:
            start.wait()
            for _ in range(5):
                with selscan.patch():
                    module = importlib.import_module(INTERFACE)
                    assert module.selective_scan_fn.__module__.startswith("selscan.")
        except Exception as error:  # shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []


def test_a_name_that_was_bound_by_somebody_else_since_is_left(plant):
    plant("planted_name.py", "held = first = object()")
    import planted_name

    first = planted_name.first
    done = rebinding.rebind(lambda value: "new" if value is first else value)
    planted_name.held = "other"
    rebinding.restore(done)

    assert planted_name.held == "other"
    assert planted_name.first is first


@pytest.mark.parametrize("cpu", ["cpu", "cpu:0", torch.device("cpu")])
def test_a_cpu_is_a_device_that_cuda_may_be_asked_for(cpu):
    def refused():
        with pytest.raises(ValueError, match="Expected a cuda device"):
            torch.cuda.device(cpu)

    refused()
    with selscan.patch():
        with torch.cuda.device(cpu) as entered, torch.cuda.device(torch.empty(0).device):
            assert entered is None

        @torch.cuda.device(cpu)
        def doubled(x):
            return 2 * x

        assert doubled(3) == 6
        assert isinstance(torch.cuda.device(cpu), torch.cuda.device)
    refused()


def test_other_devices_are_as_before():
    with selscan.patch():
        with pytest.raises(ValueError, match="Expected a cuda device"):
            torch.cuda.device("meta")
        with torch.cuda.device(-1), torch.cuda.device_of(torch.empty(0)):
            pass
        with pytest.raises(TypeError, match="not callable"):
            torch.cuda.device(-1)(print)


def test_info_says_where_names_lead():
    before = dict(patching.resolutions())
    with selscan.patch():
        found = dict(patching.resolutions())

    assert set(found.values()) == {"selscan"}
    assert set(before.values()) == {"not found; selscan's with selscan.patch()"}
    assert dict(patching.resolutions()) == before


def test_patch_is_there_without_loading_torch():
    assert "patch" in dir(selscan)
    assert selscan.patch is patching.patch
    assert selscan.compat.Patch is patching.Patch
