"""A training step of a small Mamba language model: under jax.jit as in torch."""

import numpy as np
import pytest

import selscan

jax = pytest.importorskip("jax")
torch = pytest.importorskip("torch")

from jax import numpy as jnp  # noqa: E402

WORDS, WIDTH, INNER, STATES, RANK, TAPS, LENGTH = 17, 12, 24, 5, 3, 4, 19
SHAPES = {
    "words": (WORDS, WIDTH),
    "into": (WIDTH, 2 * INNER),
    "taps": (TAPS, INNER),
    "select": (INNER, RANK + 2 * STATES),
    "rank": (RANK, INNER),
    "delta_bias": (INNER,),
    "A_log": (INNER, STATES),
    "D": (INNER,),
    "out": (INNER, WIDTH),
}
RATE = 0.5


def weights():
    rng = np.random.default_rng(0)
    return {x: rng.normal(size=s).astype(np.float32) / s[0] ** 0.5 for x, s in SHAPES.items()}


def logits(p, tokens, silu, roll):
    """The model, for either library: two blocks with the same weights, and a tied head."""
    x = p["words"][tokens]  # (b, l, width)
    for _ in range(2):
        both = (x / (1 + x**2).mean(-1)[..., None] ** 0.5) @ p["into"]
        u, z = both[..., :INNER], both[..., INNER:]
        u = silu(sum(roll(u, t) * p["taps"][t] for t in range(TAPS)))
        selected = u @ p["select"]
        delta = selected[..., :RANK] @ p["rank"]
        B, C = selected[..., RANK : RANK + STATES], selected[..., RANK + STATES :]
        options = {"delta_bias": p["delta_bias"], "delta_softplus": True, "layout": "bld"}
        A = -(2.718281828 ** p["A_log"])
        x = x + selscan.scan(u, delta, A, B, C, p["D"], z, **options) @ p["out"]
    return x @ p["words"].T


def step_of_torch(tokens):
    p = {x: torch.from_numpy(v).requires_grad_() for x, v in weights().items()}
    tokens = torch.from_numpy(tokens)

    def roll(u, t):
        return torch.nn.functional.pad(u, (0, 0, t, 0))[:, : u.shape[1]]

    found = logits(p, tokens[:, :-1], torch.nn.functional.silu, roll)
    loss = torch.nn.functional.cross_entropy(found.flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    return loss.item(), {x: (v - RATE * v.grad).detach().numpy() for x, v in p.items()}


@jax.jit
def step_of_jax(p, tokens):
    def roll(u, t):
        return jnp.pad(u, ((0, 0), (t, 0), (0, 0)))[:, : u.shape[1]]

    def loss(p):
        chances = jax.nn.log_softmax(logits(p, tokens[:, :-1], jax.nn.silu, roll))
        return -jnp.take_along_axis(chances, tokens[:, 1:, None], -1).mean()

    value, gradients = jax.value_and_grad(loss)(p)
    return value, jax.tree.map(lambda x, g: x - RATE * g, p, gradients)


def test_a_training_step_is_that_of_torch():
    tokens = np.random.default_rng(1).integers(0, WORDS, (3, LENGTH))

    want, updated = step_of_torch(tokens)
    got, found = step_of_jax(weights(), tokens)

    assert float(got) == pytest.approx(want, rel=1e-5)
    for name, x in updated.items():
        np.testing.assert_allclose(found[name], x, rtol=1e-5, atol=1e-5, err_msg=name)
