"""mamba_ssm.models: language models of Mamba-1."""
