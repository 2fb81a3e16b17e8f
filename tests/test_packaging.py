"""What pyproject.toml, constraints.txt, README.md and .ci/run promise one another."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import selscan

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]["requires"]
EXTRAS = {
    extra: [Requirement(text) for text in texts]
    for extra, texts in PROJECT["optional-dependencies"].items()
}
RECIPE = yaml.safe_load((ROOT / "docs/packaging/recipe.yaml").read_text(encoding="utf-8"))
PINS = {
    canonicalize_name(line.split("==")[0]): line
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
}


def test_numpy_and_numba_are_the_only_hard_dependencies():
    assert {Requirement(text).name for text in PROJECT["dependencies"]} == {"numpy", "numba"}


def test_constraints_are_exact():
    exact = re.compile(r"[A-Za-z0-9_.-]+==[0-9][A-Za-z0-9.]*")

    assert [line for line in PINS.values() if not exact.fullmatch(line)] == []


@pytest.mark.parametrize("extra", ["torch", "models", "onnx", "test", "bench", "docs"])
def test_constraints_meet_every_requirement(extra):
    required = [Requirement(text) for text in PROJECT["dependencies"]] + EXTRAS[extra]
    required = [requirement for requirement in required if requirement.name != PROJECT["name"]]

    unmet = [
        str(requirement)
        for requirement in required
        if (pin := PINS.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(pin.split("==")[1])
    ]

    assert unmet == []


def test_the_cuda_compiler_is_pinned_by_its_extra_alone():
    nvidia = [r for r in EXTRAS["nvrtc"] if r.name.startswith(("nvidia-", "cuda-"))]

    assert len(nvidia) == 7
    assert all(re.fullmatch(r"==[0-9.]+", str(requirement.specifier)) for requirement in nvidia)
    # torch's CUDA builds pin the same packages: under a constraint they could not be installed.
    assert [name for name in PINS if name.startswith(("nvidia-", "cuda-bindings"))] == []


def test_cuda_extras_leave_out_the_toolkit():
    cupy = [r for extra in EXTRAS.values() for r in extra if r.name.startswith("cupy")]

    assert [requirement.extras for requirement in cupy] == [set(), set()]


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_no_extra_pulls_torchvision(extra):
    # Its index build replaces a CPU torch by a CUDA one of several gigabytes; timm requires it.
    assert not {requirement.name for requirement in EXTRAS[extra]} & {"torchvision", "timm"}


def test_the_version_is_declared_once():
    assert PROJECT["dynamic"] == ["version"]
    assert "version:" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8").split("\n", 1)[1]


@pytest.mark.parametrize("command", ["pip install -e '.[test]' -c constraints.txt", "pytest"])
def test_readme_contributing_and_ci_use_the_same_commands(command):
    for name in ("README.md", "docs/contributing.md", ".ci/run"):
        assert command in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_package_is_typed():
    assert (ROOT / "selscan/py.typed").exists()


def test_the_conda_recipe_agrees_with_the_package():
    rendered = yaml.safe_dump(RECIPE)
    for name, value in RECIPE["context"].items():
        rendered = rendered.replace(f"${{{{ {name} }}}}", value)
    recipe = yaml.safe_load(rendered)
    run = {Requirement(text) for text in recipe["requirements"]["run"]}

    assert recipe["package"] == {"name": PROJECT["name"], "version": selscan.__version__}
    assert recipe["build"]["noarch"] == "python"
    python = Requirement("python" + PROJECT["requires-python"])
    assert run == {python, *map(Requirement, PROJECT["dependencies"])}
    host = recipe["requirements"]["host"]
    assert host[0] == f"python {min(python.specifier).version}.*"
    assert set(map(Requirement, BUILD)) <= set(map(Requirement, host[1:]))
    assert recipe["about"]["summary"] == PROJECT["description"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert [recipe["about"]["license_file"]] == PROJECT["license-files"]
