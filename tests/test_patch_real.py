"""selscan.patch where real packages are installed: whole, without their extensions, or broken."""

import importlib
import sys

import pytest

torch = pytest.importorskip("torch")

import selscan  # noqa: E402
from selscan.compat import aliases, patching  # noqa: E402

INTERFACE = "mamba_ssm.ops.selective_scan_interface"
pytestmark = pytest.mark.usefixtures("as_found")


REAL = """
    __version__ = "2.3.2"
    from .ops.selective_scan_interface import selective_scan_fn
"""


def plant_real(plant, interface):
    plant("mamba_ssm/__init__.py", REAL)
    plant("mamba_ssm/ops/__init__.py", "")
    plant("mamba_ssm/ops/selective_scan_interface.py", interface)


@pytest.fixture
def _forgotten(as_found):
    """Planted packages are forgotten before the last check."""
    yield
    for name in aliases.loaded({"mamba_ssm", "selective_scan_cuda"}):
        del sys.modules[name]


@pytest.mark.usefixtures("_forgotten")
def test_a_real_package_that_works_is_left_alone(plant):
    plant_real(plant, "def selective_scan_fn(): return 'real'")

    with selscan.patch() as found:
        import mamba_ssm

        assert mamba_ssm.selective_scan_fn() == "real"
        assert found.names["mamba_ssm"] == f"left alone: {mamba_ssm.__file__}"
        assert found.names["causal_conv1d"] == "selscan"
    assert sys.modules["mamba_ssm"] is mamba_ssm


@pytest.mark.usefixtures("_forgotten")
def test_a_real_package_is_replaced_if_asked_for_and_comes_back(plant):
    plant_real(plant, "def selective_scan_fn(): return 'real'")
    plant("planted_before.py", "import mamba_ssm\nfrom mamba_ssm import selective_scan_fn as fn")
    plant("planted_within.py", "import mamba_ssm\nfrom mamba_ssm import selective_scan_fn as fn")
    import planted_before as before

    real, function = before.mamba_ssm, before.fn
    with selscan.patch(override=True) as found:
        import planted_within as within

        assert found.names["mamba_ssm"] == f"selscan, instead of {real.__file__}"
        for module in (before, within):
            assert module.mamba_ssm is sys.modules["mamba_ssm"] is not real
            assert module.fn.__module__ == f"selscan.compat.{INTERFACE}"
    for module in (before, within):
        assert module.mamba_ssm is sys.modules["mamba_ssm"] is real
        assert module.fn is function
    assert function() == "real"
    own = importlib.import_module(f"selscan.compat.{INTERFACE}")
    assert own.selective_scan_fn.__module__ == own.__name__


def test_nothing_is_left_half_done(monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(patching.Patch, "_bind", fail)
    with pytest.raises(KeyboardInterrupt):
        selscan.patch()


@pytest.mark.usefixtures("_forgotten")
def test_only_missing_extensions_are_supplied_to_a_real_package(plant):
    plant_real(
        plant,
        """
        import selective_scan_cuda
        def selective_scan_fn(): return selective_scan_cuda.fwd
        """,
    )

    with selscan.patch() as found:
        import mamba_ssm

        assert found.names["mamba_ssm"].startswith("left alone: ")
        assert mamba_ssm.selective_scan_fn().__module__.startswith("selscan.")


@pytest.mark.usefixtures("_forgotten")
def test_a_real_package_that_was_imported_without_its_extension_gets_it(plant):
    plant_real(
        plant,
        """
        try:
            import selective_scan_cuda
        except ImportError:
            selective_scan_cuda = None
        def selective_scan_fn(): return selective_scan_cuda
        """,
    )
    import mamba_ssm

    assert mamba_ssm.selective_scan_fn() is None
    with selscan.patch():
        assert mamba_ssm.selective_scan_fn() is sys.modules["selective_scan_cuda"]
    assert mamba_ssm.selective_scan_fn() is None


@pytest.mark.usefixtures("_forgotten")
def test_a_real_package_that_does_not_work_is_replaced(plant):
    plant_real(plant, "raise OSError('undefined symbol: c10')")

    with selscan.patch() as found:
        import mamba_ssm

        assert "OSError: undefined symbol: c10" in found.names["mamba_ssm"]
        assert mamba_ssm.Mamba.__module__.startswith("selscan.")
    assert not aliases.loaded({"mamba_ssm"})


def test_a_folder_of_that_name_is_no_package(plant):
    plant("selective_scan/csrc/kernel.cu", "")

    with selscan.patch() as found:
        assert found.names["selective_scan"] == "selscan"


def test_a_name_that_was_forbidden_is_forbidden_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "selective_scan_cuda", None)

    with selscan.patch():
        assert importlib.import_module("selective_scan_cuda").fwd
    assert sys.modules["selective_scan_cuda"] is None
