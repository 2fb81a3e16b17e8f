"""Four processes for all tests here, started once, and again after a test in which they ended."""

import pytest

pytest.importorskip("torch.distributed")

from .problems import alone, make
from .ranks import Ranks


@pytest.fixture(scope="package")
def all_ranks():
    """A list of the Ranks that run, or ran last.

    What nearly all jobs run is compiled here: ranks that find it on disk need not all compile it.
    """
    alone(make())
    found = []
    yield found
    for ranks in found:
        ranks.close()


@pytest.fixture
def ranks(all_ranks):
    """Four processes in groups of two, three and four."""
    if not all_ranks or all_ranks[-1].closed:
        all_ranks.append(Ranks(4))
        all_ranks[-1].start()
    return all_ranks[-1]
