"""Language models of Mamba-1 under mamba_ssm's names: files, generating, what is refused."""

import json
import sys
import types

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from selscan.compat.mamba_ssm.models import mixer_seq_simple  # noqa: E402
from selscan.compat.mamba_ssm.models.config_mamba import MambaConfig  # noqa: E402
from selscan.compat.mamba_ssm.models.mixer_seq_simple import (  # noqa: E402
    MambaLMHeadModel,
    MixerModel,
)
from selscan.compat.mamba_ssm.utils import generation, hf  # noqa: E402

SMALL = {"d_model": 16, "n_layer": 2, "vocab_size": 29, "ssm_cfg": {"d_state": 4}}


def small(**options):
    torch.manual_seed(0)
    return MambaLMHeadModel(MambaConfig(**SMALL | options)).eval()


def tokens(b=2, l=6):
    return torch.randint(0, 29, (b, l), generator=torch.Generator().manual_seed(1))


def test_logits_are_of_the_padded_vocabulary_and_of_the_last_tokens_if_asked():
    model, ids = small(), tokens()

    logits = model(ids).logits

    assert logits.shape == (2, 6, 32)
    torch.testing.assert_close(model(ids, num_last_tokens=2).logits, logits[:, -2:])
    torch.testing.assert_close(model(ids, position_ids=None, inference_params=None)[0], logits)
    assert model.lm_head.weight is model.backbone.embedding.weight
    apart = small(tie_embeddings=False)
    assert apart.lm_head.weight is not apart.backbone.embedding.weight


@pytest.mark.parametrize("options", [{}, {"fused_add_norm": False}, {"rms_norm": False}])
def test_a_model_is_its_layers_one_after_another(options):
    model, ids = small(**options), tokens()
    stream, hidden = 0, model.backbone.embedding(ids)
    for layer in model.backbone.layers:
        stream = stream + hidden
        hidden = layer.mixer(layer.norm(stream))
    want = model.lm_head(model.backbone.norm_f(stream + hidden))

    torch.testing.assert_close(model(ids).logits, want)


@pytest.mark.parametrize("l", [1, 5])
def test_greedy_generation_with_states_is_that_without(l):
    model, ids = small(), tokens(l=l)
    want = ids
    with torch.no_grad():
        for _ in range(7):
            want = torch.cat((want, model(want).logits[:, -1:, :29].argmax(-1)), 1)

    assert model.generate(ids, max_length=l + 7, vocab_size=29).equal(want)
    found = model.generate(
        ids, l + 7, cg=True, return_dict_in_generate=True, output_scores=True, vocab_size=29
    )
    assert found.sequences.equal(want)
    assert len(found.scores) == 7
    assert found.scores[0].shape == (2, 29)


def test_generation_stops_and_follows_a_teacher_and_tells_a_streamer(capsys):
    model, ids = small(), tokens(b=1)
    seen = []
    streamer = types.SimpleNamespace(put=seen.append, end=lambda: seen.append(None))
    teacher = tokens(b=1, l=12)
    teacher[:, :6] = ids

    got = model.generate(ids, 12, teacher_outputs=teacher, streamer=streamer, enable_timing=True)
    assert got.equal(teacher)
    assert seen[0].equal(ids)
    assert seen[-1] is None
    assert len(seen) == 8
    assert " ms" in capsys.readouterr().out
    teacher[0, 6:8] = torch.tensor([3, 4])
    got = model.generate(ids, 12, teacher_outputs=teacher, eos_token_id=4)
    assert got.shape[1] == 8


def test_tokens_are_drawn_from_those_that_are_likely_enough():
    torch.manual_seed(0)
    chances = torch.tensor([0.4, 0.3, 0.2, 0.1]).expand(4000, 4)
    logits = chances.log()

    def drawn(**options):
        return set(generation.sample(logits, **options).tolist())

    assert drawn(top_k=1) == {0}
    assert drawn(top_k=0) == {0, 1, 2, 3}
    assert drawn(top_k=3) == {0, 1, 2}
    assert drawn(top_k=0, top_p=0.6) == {0, 1}
    assert drawn(top_k=9, top_p=0.3) == {0}
    assert drawn(top_k=0, min_p=0.45) == {0, 1, 2}
    cold = generation.sample(logits, top_k=0, temperature=0.1)
    assert (cold == 0).float().mean() > 0.9
    share = (generation.sample(logits, top_k=0) == 0).float().mean()
    assert 0.36 < share < 0.44
    with pytest.raises(ValueError, match=r"sample: top_p must be in 0 .. 1; got 2."):
        generation.sample(logits, top_k=0, top_p=2)


def test_tokens_that_were_there_are_less_likely():
    logits = torch.tensor([[1.0, -1.0, 2.0]])

    got = generation.penalised(logits, torch.tensor([[0, 1, 1]]), 2.0)

    assert got.tolist() == [[0.5, -2.0, 2.0]]
    model, ids = small(), tokens(b=1)
    assert model.generate(ids, 20, repetition_penalty=1e9)[0, 6:].unique().numel() > 8


def test_a_folder_holds_a_model(tmp_path):
    model, ids = small(), tokens()
    model.save_pretrained(tmp_path / "made" / "here")

    loaded = MambaLMHeadModel.from_pretrained(tmp_path / "made" / "here").eval()

    torch.testing.assert_close(loaded(ids).logits, model(ids).logits, rtol=0, atol=0)
    assert json.loads((tmp_path / "made/here/config.json").read_text())["d_model"] == 16
    half = MambaLMHeadModel.from_pretrained(tmp_path / "made" / "here", dtype=torch.bfloat16)
    assert half.lm_head.weight.dtype == torch.bfloat16


def test_a_name_asks_the_hub(tmp_path, monkeypatch):
    model = small()
    model.save_pretrained(tmp_path)
    asked = []

    def hf_hub_download(repository, name):
        asked.append((repository, name))
        return str(tmp_path / name)

    hub = types.SimpleNamespace(hf_hub_download=hf_hub_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)

    loaded = MambaLMHeadModel.from_pretrained("owner/name", device="cpu")

    assert asked == [("owner/name", "config.json"), ("owner/name", "pytorch_model.bin")]
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModuleNotFoundError, match="huggingface_hub is needed to get owner/name"):
        hf.load_config_hf("owner/name")


def test_what_is_added_to_the_stream_begins_smaller_the_more_layers_there_are():
    few, many = (
        MixerModel(16, layers, 0, 8, initializer_cfg={"initializer_range": 0.5})
        for layers in (1, 16)
    )

    spread = [x.layers[0].mixer.out_proj.weight.std() for x in (few, many)]
    assert 3 < spread[0] / spread[1] < 5
    assert 0.4 < many.embedding.weight.std() < 0.6
    layer = nn.Linear(3, 3)
    mixer_seq_simple._init_weights(layer, 1)
    assert layer.bias.eq(0).all()
    bias = MixerModel(16, 1, 0, 8).layers[0].mixer.dt_proj.bias
    assert bias.ne(0).all()


def test_a_model_has_mlps_and_a_state_for_each_layer():
    model = small(d_intermediate=20)
    cache = model.allocate_inference_cache(3, 100)

    assert model.backbone.layers[0].mlp.fc2.weight.shape == (16, 128)
    assert [{tuple(x.shape) for x in v} for v in cache.values()] == [{(3, 32, 4)}] * 2
    params = generation.InferenceParams(max_seqlen=5, max_batch_size=2)
    params.lengths_per_sample = torch.ones(2)
    params.seqlen_offset = 3
    params.reset(7, 1)
    assert (params.max_seqlen, params.max_batch_size, params.seqlen_offset) == (7, 1, 0)
    assert params.lengths_per_sample.eq(0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ssm_cfg": {"layer": "Mamba2"}}, r"ssm_cfg\['layer'\] must be 'Mamba1', the one that"),
        (
            {"attn_layer_idx": [1]},
            r"attn_layer_idx must be empty: there is no attention; got \[1\]",
        ),
    ],
)
def test_other_layers_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^MambaConfig: {message}"):
        small(**options)
