"""The CUDA backend through CuPy: kernels in CUDA C++ (csrc/), compiled by NVRTC at the first call.

`instances.py` is the closed list of kernels. `nvrtc.py` makes a function of one of them: `paste.py`
puts its source together, `toolkit.py` finds NVRTC, `compiler.py` calls it, `store.py` keeps machine
code on disk, `gpu.py` loads it. CuPy is imported there, inside functions, and nowhere else.
"""
