"""Runs CUDA C++ kernels on the CPU, with the code that launches them (docs/emulator.md)."""

from .compiler import CompileError, missing
from .launch import ORDERS, KernelError, Module, blocks_from, order, pointers

__all__ = [
    "ORDERS",
    "CompileError",
    "KernelError",
    "Module",
    "blocks_from",
    "missing",
    "order",
    "pointers",
]
