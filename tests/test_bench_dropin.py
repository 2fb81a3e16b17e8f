"""python -m bench.dropin: what it compares, and what it prints."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from bench import dropin  # noqa: E402


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("model", "layers"), [("Mamba", 2), ("Jamba", 1)])
def test_the_two_take_turns_and_are_compared(model, layers, capsys, monkeypatch):
    threads = torch.get_num_threads()
    monkeypatch.setattr(torch, "set_num_threads", lambda number: None)
    for name, number in (("PREFILL", 12), ("TRAINING", 6), ("NEW", 3)):
        monkeypatch.setattr(dropin, name, number)

    form = ["--model", model, "--hidden", "16", "--layers", "2", "--turns", "1"]
    dropin.main([*form, "--threads", str(threads)])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{model}, 2 layers, hidden_size 16, float32, batch 1; ")
    assert [line.split()[0] for line in lines[1:4]] == ["prefill", "training", "decoding"]
    assert all("x; error " in line for line in lines[1:4])
    assert lines[4] == f"selscan.scan ran {2 * layers} times, selscan.scan_step {2 * layers} times"


@pytest.mark.parametrize("name", ["prefill", "decoding"])
def test_results_that_differ_are_an_error(name):
    one = torch.tensor([1.0, 2.0])

    assert dropin.compared(name, one, one.clone()) == 0
    with pytest.raises(ArithmeticError):
        dropin.compared(name, one, one + 1e-3)
