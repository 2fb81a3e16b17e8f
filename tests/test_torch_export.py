"""torch.export: the operator stays one node, sizes stay symbolic, gradients are not lost."""

import io

import pytest
from tensors import assert_equal, torch

import selscan

LENGTH = torch.export.Dim("length")
BATCH = torch.export.Dim("batch")
strict = pytest.mark.parametrize("strict", [False, True], ids=["non-strict", "strict"])


class Mixer(torch.nn.Module):
    """A scan with weights."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.A = torch.nn.Parameter(-torch.rand(5, 4, generator=generator))
        self.D = torch.nn.Parameter(torch.rand(5, generator=generator))

    def forward(self, u, B):
        y, last = selscan.scan(
            u, u, self.A, B, B, self.D, delta_softplus=True, return_last_state=True
        )
        return y * u, last


class Decoder(torch.nn.Module):
    """One step after another, from a state that it keeps."""

    def __init__(self):
        super().__init__()
        self.register_buffer("state", torch.zeros(2, 5, 4))
        self.register_buffer("A", -torch.ones(5, 4))

    def forward(self, u, B):
        return selscan.scan_step(self.state, u, u, self.A, B, B)[0]


def inputs(b, l):
    generator = torch.Generator().manual_seed(l)
    return torch.randn(b, 5, l, generator=generator), torch.randn(b, 4, l, generator=generator)


def exported(module, strict):
    sizes = {0: BATCH, 2: LENGTH}
    return torch.export.export(module, inputs(2, 9), dynamic_shapes=(sizes, sizes), strict=strict)


def operators(program):
    """The operators of selscan in a program."""
    targets = [str(node.target) for node in program.graph.nodes]
    return [x for x in targets if x.startswith("selscan.")]


@strict
@pytest.mark.parametrize("grad", [False, True])
def test_a_module_with_any_length_and_batch_is_exported(grad, strict):
    module = Mixer()
    with torch.set_grad_enabled(grad):
        program = exported(module, strict)
        assert operators(program) == ["selscan.scan.default"]
        for b, l in ((2, 9), (3, 300), (5, 17)):
            given = inputs(b, l)
            got, want = program.module()(*given), module(*given)
            assert_equal([x.detach() for x in got], [x.detach() for x in want])


@strict
def test_an_exported_module_can_be_trained(strict):
    module, given = Mixer(), inputs(3, 40)
    trained = exported(module, strict).module()
    for x in (module, trained):
        y, last = x(*given)
        (y.sum() + last.sum()).backward()
    grads = [dict(x.named_parameters()) for x in (module, trained)]
    assert_equal(*({name: grad[name].grad for name in ("A", "D")} for grad in grads))


@pytest.mark.filterwarnings("ignore:.isinstance.treespec")  # torch's own
def test_decomposition_keeps_the_operator():
    assert operators(exported(Mixer(), False).run_decompositions()) == ["selscan.scan.default"]


def test_a_saved_program_is_loaded():
    module, file, given = Mixer(), io.BytesIO(), inputs(3, 40)
    torch.export.save(exported(module, False), file)
    file.seek(0)
    got, want = torch.export.load(file).module()(*given), module(*given)
    assert_equal([x.detach() for x in got], [x.detach() for x in want])


@strict
def test_a_module_that_keeps_its_state_is_exported(strict):
    module, (u, B) = Decoder(), inputs(2, 3)
    program = torch.export.export(Decoder(), (u[..., 0], B[..., 0]), strict=strict)
    assert operators(program) == ["selscan.scan_step.default"]
    decoder = program.module()
    for t in range(3):
        given = u[..., t].clone(), B[..., t].clone()
        assert_equal(decoder(*given), module(*given))
    assert_equal(decoder.state, module.state)


@strict
def test_a_wrong_shape_is_named(strict):
    u, B = inputs(2, 9)
    with pytest.raises(Exception, match=r"scan: B must be \(b, n, l\)"):
        torch.export.export(Mixer(), (u, B[:, :3]), strict=strict)
