"""mamba_ssm.utils: files, and generating text."""
