"""mamba_ssm.ops: functions."""
