"""Any array, seen the same way: shape, byte steps, dtype name, address.

One small class for each framework, all with the same methods (numpy.Framework). find.py finds the
one that an array belongs to.
"""
