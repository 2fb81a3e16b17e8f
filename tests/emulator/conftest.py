"""Without g++ nothing here can run; under a sanitizer only what is asked for."""

import pytest

from . import missing

SANITIZERS = {"asan": "AddressSanitizer", "tsan": "ThreadSanitizer"}


def pytest_collection_modifyitems(config, items):
    """Skip, and say why."""
    reason = missing()
    for item in items:
        if __package__ not in item.nodeid.split("/"):
            continue
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))
        for mark, name in SANITIZERS.items():
            if item.get_closest_marker(mark) and mark not in config.option.markexpr:
                skip = pytest.mark.skip(reason=f"under {name} with `pytest -m {mark}`")
                item.add_marker(skip)
