"""Calls of several processes: selscan.distributed, and training with torch.distributed."""
