"""asv: one decode step of selscan.scan_step, wall clock."""

from selscan.cases import Case, make_inputs

PER_TOKEN = ("u", "delta", "B", "C")


class Step:
    """Batches of one token of Mamba-2.8B, from torch tensors or NumPy arrays."""

    params = ((1, 8), ("numpy", "torch"))
    param_names = ("batch", "framework")

    def setup(self, batch, framework):
        """Make a state and a token, and warm up."""
        inputs = make_inputs(Case("decode", batch, 5120, 1, 16, 1, "one token"))
        inputs |= {name: inputs[name][..., 0].copy() for name in PER_TOKEN}
        inputs["state"] = inputs["B"][:, 0, None] + 0 * inputs["A"]
        try:
            if framework == "torch":
                import torch

                inputs = {name: torch.from_numpy(x) for name, x in inputs.items()}
            self.inputs = inputs
            self.time_step(batch, framework)
        except (ImportError, AttributeError) as error:  # at an old commit, or without torch
            raise NotImplementedError(str(error)) from error

    def time_step(self, batch, framework):
        """The state is updated in place; it stays bounded, as A is negative."""
        import selscan

        selscan.scan_step(**self.inputs, delta_softplus=True)
