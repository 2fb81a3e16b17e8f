"""asv: what a call costs beyond its arithmetic, eager and by torch.compile, wall clock."""

from selscan.cases import Case, make_inputs

CASE = Case("tiny", 1, 16, 4, 16, 1, "call overhead")


class Overhead:
    """A scan of four steps and sixteen channels, from torch tensors."""

    params = ("eager", "compiled")
    param_names = ("how",)

    def setup(self, how):
        """Make tensors, and warm up."""
        try:
            import torch

            import selscan
        except ImportError as error:
            raise NotImplementedError(str(error)) from error

        def scan(u, delta, A, B, C, D, delta_bias):
            return selscan.scan(u, delta, A, B, C, D, delta_bias=delta_bias, delta_softplus=True)

        self.scan = torch.compile(scan) if how == "compiled" else scan
        self.tensors = {name: torch.from_numpy(x) for name, x in make_inputs(CASE).items()}
        self.leaves = {name: x.clone().requires_grad_() for name, x in self.tensors.items()}
        self.dy = torch.ones_like(self.tensors["u"])
        self.time_forward(how)
        self.time_forward_backward(how)

    def time_forward(self, how):
        """No gradients are asked for."""
        self.scan(**self.tensors)

    def time_forward_backward(self, how):
        """All gradients."""
        self.scan(**self.leaves).backward(self.dy)
