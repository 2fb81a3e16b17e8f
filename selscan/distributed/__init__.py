"""One sequence over many processes: the scan of pieces of time, by torch.distributed.

Every rank of a group holds the steps that follow those of the rank before. docs/distributed.md has
what is sent, and what each way costs.
"""

from .calls import halo, scan

__all__ = ["halo", "scan"]
