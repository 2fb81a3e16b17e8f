"""`PYTHONPATH=tests pytest -p driver.plugin tests/driver` puts the driver in its place.

Before tests/conftest.py is read, as that asks which backends can be used.
"""

import driver


def pytest_configure(config):
    """A run that asks for the driver fails without it."""
    if reason := driver.missing():
        raise RuntimeError(reason)


if not driver.missing():
    driver.install()
