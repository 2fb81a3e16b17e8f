"""Modules that are compiled extensions elsewhere, and packages around them.

They record nothing for autograd: third-party Functions call them, forward and backward.
"""
