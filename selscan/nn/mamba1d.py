"""The mixer of Mamba on sequences (b, l, d_model), in one direction or in both.

Names of parameters are those of mamba_ssm; the branch that runs backward has a "b" in them, as in
Vim (Zhu et al. 2024). See branch.py for what is between the outer projections.
"""

import torch
from torch import nn

from ..messages import fail
from ..ops import contract
from . import initial
from .branch import (
    Branch,
    Form,
    State,
    continue_branch,
    inputs_of_scan,
    prefill_branch,
    run_branch,
    scan_with,
    step_branch,
    wide,
)
from .checks import check_choice, check_switch


class Mamba(nn.Module):
    """The mixer of Mamba (Gu and Dao 2023), from (b, l, d_model) to (b, l, d_model).

    Parameters
    ----------
    d_model : int
        Width of the block; `dim` is another name of it.
    d_state : int
        States of each channel.
    d_conv : int
        Width of the convolution along time.
    expand : float
        Channels of the scan are d_model * expand.
    dt_rank : int or "auto"
        Width of the bottleneck of delta: d_model / 16, rounded up.
    dt_min, dt_max, dt_init_floor : float
        Where delta begins: log-uniform between the first two, but not below the third.
    dt_init : {"random", "constant"}
        How its projection begins.
    dt_scale : float
        Of the numbers it begins with.
    conv_bias, bias : bool
        Whether the convolution, and the outer projections, have one.
    use_fast_path : bool
        Of no effect: there is one path.
    layer_idx : int, optional
        The key of this mixer's states in `inference_params`.
    device, dtype
        Of the parameters; A_log and D are in float32.
    group : torch.distributed.ProcessGroup, optional
        The sequence is cut along time over its ranks, in their order; each gives its piece. Such a
        sequence is not decoded token by token.

    Raises
    ------
    ValueError, TypeError
        An option that is not one of these.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn
    >>> nn.Mamba(32)(torch.zeros(2, 9, 32)).shape
    torch.Size([2, 9, 32])
    """

    def __init__(
        self,
        d_model=None,
        d_state=16,
        d_conv=4,
        expand=2,
        dt_rank="auto",
        dt_min=initial.DELTA_MIN,
        dt_max=initial.DELTA_MAX,
        dt_init="random",
        dt_scale=1.0,
        dt_init_floor=initial.DELTA_FLOOR,
        conv_bias=True,
        bias=False,
        use_fast_path=True,
        layer_idx=None,
        device=None,
        dtype=None,
        *,
        group=None,
        dim=None,
    ):
        function = type(self).__name__
        d_model = initial.width(function, d_model, dim)
        form = Form.of(
            *(function, d_model, d_state, d_conv, expand, dt_rank),
            dt_min=dt_min,
            dt_max=dt_max,
            dt_init=dt_init,
            dt_scale=dt_scale,
            dt_init_floor=dt_init_floor,
            conv_bias=conv_bias,
            device=device,
            dtype=dtype,
        )
        check_switch(function, "bias", bias)
        super().__init__()
        self.form, self.layer_idx, self.group = form, layer_idx, group
        self.d_model, self.d_state, self.d_conv, self.expand = d_model, d_state, d_conv, expand
        self.d_inner, self.dt_rank = form.channels, form.dt_rank
        factory = {"bias": bias, "device": device, "dtype": dtype}
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, **factory)
        branch = self.form.new_branch()
        self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D = branch
        self.out_proj = nn.Linear(self.d_inner, d_model, **factory)

    @property
    def branch(self):
        return Branch(self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D)

    def forward(
        self, x, inference_params=None, *, state=None, return_state=False, return_states_at=None
    ):
        """The mixed sequence, and where it is asked for, states behind it or within it.

        With `inference_params` (see `selscan.compat.mamba_ssm.utils.generation`) the states are
        kept in its ``key_value_memory_dict``: a first call begins a sequence, later ones, where
        ``seqlen_offset`` is above 0, take a token each.

        Parameters
        ----------
        x : tensor, (b, l, d_model)
        state : pair of tensors, optional
            (conv_state, ssm_state) as a call has returned it, or `allocate_inference_cache`: x goes
            on from there. It is not changed.
        return_state : bool
            Whether the state behind x is returned as well.
        return_states_at : sequence of int, optional
            Steps of x, ascending: a list of the states after them is returned as well.

        Returns
        -------
        y : tensor, (b, l, d_model)
        state : pair of tensors
            Only with ``return_state=True``. Gradients go through it.
        states : list of pairs
            Only with ``return_states_at``.
        """
        check_switch(type(self).__name__, "return_state", return_state)
        if state is not None or return_state or return_states_at is not None:
            return self.go_on(x, inference_params, state, return_state, return_states_at)
        if inference_params is None:
            return self.out_proj(self.mix(*self.split(x)).transpose(1, 2))
        states = self.states_of(inference_params, len(x))
        if inference_params.seqlen_offset > 0:
            return self.step(x, *states)[0]
        return self.prefill(x, *states)

    def go_on(self, x, inference_params, state, return_state, positions):
        """`forward` with states."""
        name = type(self).__name__
        if inference_params is not None:
            fail(name, "inference_params", "None where state is given or asked for", "an object")
        if type(self).mix is not Mamba.mix or self.group is not None:
            raise RuntimeError(
                f"{name}: state must be one of a mixer that runs in one direction and in one "
                "process; got one that does not."
            )
        if state is not None:
            state = self.checked_state(state, len(x))
        if positions is not None:
            positions = contract.positions_of(name, positions)
        y, last, states = continue_branch(self.branch, *self.split(x), state, positions)
        results = [self.out_proj(y.transpose(1, 2))]
        results += [last] if return_state else []
        results += [states] if positions is not None else []
        return tuple(results) if len(results) > 1 else results[0]

    def checked_state(self, state, batch):
        """A pair of tensors as a State."""
        wanted = (batch, self.d_inner, self.d_conv), (batch, self.d_inner, self.d_state)
        got = [tuple(x.shape) if isinstance(x, torch.Tensor) else None for x in state]
        if tuple(got) != wanted:
            fail("Mamba", "state", f"a pair of tensors of shapes {wanted[0]} and {wanted[1]}", got)
        return State(*state)

    def split(self, x):
        """x and z, (b, d, l) each, of the sequence."""
        return self.in_proj(x).transpose(1, 2).chunk(2, dim=1)

    def mix(self, x, z):
        """(b, d, l) between the outer projections."""
        return run_branch(self.branch, x, z, group=self.group)

    @torch.no_grad()
    def prefill(self, x, conv_state, ssm_state):
        """The mixed sequence from its beginning; both states are written."""
        y = prefill_branch(self.branch, *self.split(x), conv_state, ssm_state)
        return self.out_proj(y.transpose(1, 2))

    @torch.no_grad()
    def step(self, hidden_states, conv_state, ssm_state):
        """One more token (b, 1, d_model); both states are updated in place, without a gradient.

        Returns
        -------
        y : tensor, (b, 1, d_model)
        conv_state, ssm_state : tensor
            The same as were given.
        """
        if hidden_states.dim() != 3 or hidden_states.shape[1] != 1:
            expected = f"one token, (b, 1, {self.d_model})"
            fail("step", "hidden_states", expected, tuple(hidden_states.shape))
        x, z = self.in_proj(hidden_states[:, 0]).chunk(2, dim=-1)
        y = step_branch(self.branch, x, z, conv_state, ssm_state)
        return self.out_proj(y)[:, None], conv_state, ssm_state

    def allocate_inference_cache(self, batch_size, max_seqlen=None, dtype=None, **_):
        """The states before the first token, whatever the length of the sequence will be.

        Returns
        -------
        conv_state : tensor, (b, d_inner, d_conv), of `dtype`, or of that of the parameters
        ssm_state : tensor, (b, d_inner, d_state)
            In at least 32 bits: it is rounded after each token.
        """
        if self.group is not None:
            raise RuntimeError(
                f"{type(self).__name__}: a cache must be for one process; got a mixer whose "
                "sequences are cut over a group. Make one without, with the same weights."
            )
        weight = self.conv1d.weight
        conv_state = weight.new_zeros(batch_size, self.d_inner, self.d_conv, dtype=dtype)
        ssm_state = conv_state.new_zeros(batch_size, self.d_inner, self.d_state)
        return conv_state, wide(ssm_state)

    def states_of(self, inference_params, batch_size):
        """This mixer's states, zeros in the beginning."""
        if self.layer_idx is None:
            fail(type(self).__name__, "layer_idx", "an int to use inference_params", "None")
        kept = inference_params.key_value_memory_dict
        if self.layer_idx not in kept:
            kept[self.layer_idx] = self.allocate_inference_cache(batch_size)
        return kept[self.layer_idx]


class BiMamba(Mamba):
    """Mamba forward and backward in time, added up (Vim, Zhu et al. 2024).

    Parameters
    ----------
    d_model, d_state, d_conv, expand
        As in `Mamba`.
    version : {"v2", "v1"}
        Version 2 has a branch for each direction. In version 1 both scan the result of one
        convolution with the same coefficients, and only A is a second one.
    halved : bool
        Whether the sum is divided by 2.
    **options
        As in `Mamba`, from `dt_rank` on; `group` too.

    Raises
    ------
    ValueError, TypeError
        Another version or option.

    Notes
    -----
    Token by token (`step`, `inference_params`) the branch that runs forward is alone, as in Vim's
    code: nothing is known of the tokens to come.

    Examples
    --------
    >>> import torch
    >>> from selscan import nn
    >>> nn.BiMamba(32, version="v1", halved=False)(torch.zeros(2, 9, 32)).shape
    torch.Size([2, 9, 32])
    """

    def __init__(
        self, d_model=None, d_state=16, d_conv=4, expand=2, version="v2", halved=True, **options
    ):
        check_choice(type(self).__name__, "version", version, ("v1", "v2"))
        check_switch(type(self).__name__, "halved", halved)
        super().__init__(d_model, d_state, d_conv, expand, **options)
        self.version, self.halved = version, halved
        backward = self.form.new_branch()
        self.A_b_log = backward.A_log
        if version == "v2":
            self.conv1d_b, self.x_proj_b, self.dt_proj_b, _, self.D_b = backward
            nn.init.zeros_(self.dt_proj_b.bias)  # other than dt_proj's: so Vim was trained

    @property
    def branch_back(self):
        return Branch(self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b)

    def mix(self, x, z):
        both = self.mix_shared if self.version == "v1" else self.mix_apart
        ahead, back = both(x, z)
        return (ahead + back) / 2 if self.halved else ahead + back

    def mix_apart(self, x, z):
        """A branch in each direction."""
        ahead = run_branch(self.branch, x, z, group=self.group)
        return ahead, run_branch(self.branch_back, x, z, reverse=True, group=self.group)

    def mix_shared(self, x, z):
        """One branch, but for A."""
        inputs = inputs_of_scan(self.branch, x, group=self.group)
        back = self.branch._replace(A_log=self.A_b_log)
        ahead = scan_with(self.branch, inputs, z, self.group)
        return ahead, scan_with(back, inputs, z, self.group, reverse=True)
