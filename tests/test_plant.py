"""The faults that are planted before a release still fit the kernels."""

import plant
import pytest


@pytest.mark.parametrize("name", plant.FAULTS)
def test_a_fault_has_its_place_and_its_tests(name, tmp_path):
    fault = plant.FAULTS[name]
    file = plant.file_of(fault)
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    before = (plant.ROOT / file).read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")

    plant.plant(fault, tmp_path)

    assert path.read_text(encoding="utf-8") != before
    files = [x for x in fault.tests if x.endswith(".py")]
    assert files
    assert all((plant.ROOT / file).is_file() for file in files)
