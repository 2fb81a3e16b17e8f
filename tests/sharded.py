"""Four CPU devices: prints what is not as on one. test_jax_devices.py runs it in a new process."""

import functools
import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec

import selscan
from selscan.paths import Path

B, D, L, N, GROUPS = 8, 64, 21, 3, 4
PATH = Path.of(5, 6, "w2", "v_flip")
MESH = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))
SHAPES = {
    "u": (B, D, L), "delta": (B, D, L), "A": (D, N), "B": (B, N, L), "C": (B, N, L), "D": (D,),
    "z": (B, D, L), "delta_bias": (D,), "initial_state": (B, D, N),
}  # fmt: skip


def numbers(name, shape):
    x = np.random.default_rng(sum(map(ord, name))).normal(size=shape).astype(np.float32)
    return jnp.asarray(-abs(x) if name == "A" else x)


def scan(arrays):
    return selscan.scan(**arrays, delta_softplus=True, return_last_state=True)


def total(function, arrays):
    return sum(jnp.sin(x).sum() for x in jax.tree.leaves(function(arrays)))


def specs(shapes, batch, channels):
    """Axes of the mesh for the batch, of size B, and for the channels, of size D, or groups."""
    names = {B: batch, D: channels, GROUPS: channels}
    return {x: Spec(*(names.get(n) for n in shape)) for x, shape in shapes.items()}


def compare(what, got, want):
    for x, y in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        error = abs(x - y).max() / abs(y).max()
        if not error < 1e-4:
            print(f"{what}: off by {error}")


def check(what, function, shapes, result, batch, channels):
    """Values and gradients under jax.jit of sharded arrays, and of jax.shard_map."""
    what = f"{what} {batch} {channels}"
    arrays = {x: numbers(x, shape) for x, shape in shapes.items()}
    placed = specs(shapes, batch, channels)
    both = jax.jit(jax.value_and_grad(functools.partial(total, function)))
    want = function(arrays), both(arrays)
    cut = {x: jax.device_put(v, NamedSharding(MESH, placed[x])) for x, v in arrays.items()}
    for name, program in {"values": jax.jit(function), "gradients": both}.items():
        compiled = program.lower(cut).compile()
        if "all-gather" in compiled.as_text():
            print(f"{what}: {name} are gathered")
        compare(f"{what} {name}", compiled(cut), want[name == "gradients"])
    for check_vma in (True, False):
        mapped = jax.shard_map(
            function, mesh=MESH, in_specs=(placed,), out_specs=result, check_vma=check_vma
        )
        found = jax.jit(jax.value_and_grad(functools.partial(total, mapped)))(arrays)
        compare(f"{what} shard_map", found, want[1])


def main():
    grouped = SHAPES | dict.fromkeys("BC", (B, GROUPS, N, L))
    for batch, channels in ((("x", "y"), None), (None, ("x", "y")), ("x", "y")):
        results = Spec(batch, channels), Spec(batch, channels)
        check("scan", scan, SHAPES, results, batch, channels)
        check("groups", scan, grouped, results, batch, channels)
    constant = SHAPES | dict.fromkeys("BC", (D, N))
    check("constant", scan, constant, results, batch, channels)
    k, l = PATH.table.shape
    maps = {"u": (B, D, 5, 6), "delta": (B, k, D, l), "A": (k, D, N)}
    maps |= dict.fromkeys("BC", (B, k, N, l))
    along = functools.partial(selscan.scan2d, path=PATH)
    check("scan2d", lambda x: along(**x), maps, Spec("x"), "x", None)
    both = Spec("x", None, "y")
    check("gather", lambda x: selscan.gather(x["u"], PATH), {"u": maps["u"]}, both, "x", "y")
    apart = {"y": (B, k, D, l)}
    check("scatter", lambda x: selscan.scatter(x["y"], PATH), apart, Spec("x", "y"), "x", "y")
    arrays = {x: numbers(x, shape) for x, shape in SHAPES.items()}
    uneven = arrays | {"u": jax.device_put(arrays["u"][..., :20], over_time())}
    try:
        jax.jit(scan)({x: v[..., :20] if v.shape[-1:] == (L,) else v for x, v in uneven.items()})
    except Exception as error:
        wanted = "scan: u must be whole along time on each device; got one that is sharded there"
        if wanted not in str(error):
            print(f"over time: {error}")
    else:
        print("over time: no error")
    print("done")


def over_time():
    return NamedSharding(MESH, Spec(None, None, "x"))


if __name__ == "__main__":
    main()
