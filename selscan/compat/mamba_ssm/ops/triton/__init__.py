"""mamba_ssm.ops.triton: what has Triton kernels in the original."""
