"""mamba_ssm.modules.mlp: the MLP of a block."""

from torch import nn
from torch.nn import functional as F


class GatedMLP(nn.Module):
    """fc2(y * activation(gate)), with y and gate from fc1."""

    def __init__(
        self,
        in_features,
        hidden_features=None,
        out_features=None,
        activation=F.silu,
        bias=False,
        multiple_of=128,
        device=None,
        dtype=None,
    ):
        super().__init__()
        hidden = int(8 * in_features / 3) if hidden_features is None else hidden_features
        hidden = -(-hidden // multiple_of) * multiple_of
        factory = {"bias": bias, "device": device, "dtype": dtype}
        self.fc1 = nn.Linear(in_features, 2 * hidden, **factory)
        self.activation = activation
        self.fc2 = nn.Linear(hidden, out_features or in_features, **factory)

    def forward(self, x):
        y, gate = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(y * self.activation(gate))
