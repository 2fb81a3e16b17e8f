"""mamba_ssm.models.mixer_seq_simple: language models of blocks with Mamba-1 mixers."""

import functools
import json
import math
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from ....messages import describe, fail
from ..modules.block import Block, add_norm
from ..modules.mamba_simple import Mamba
from ..modules.mlp import GatedMLP
from ..ops.triton.layer_norm import RMSNorm
from ..utils.generation import GenerationMixin
from ..utils.hf import CONFIG, WEIGHTS, load_config_hf, load_state_dict_hf
from .config_mamba import MambaConfig

CausalLMOutput = namedtuple("CausalLMOutput", ["logits"])


def create_block(
    d_model,
    d_intermediate=0,
    ssm_cfg=None,
    attn_layer_idx=None,
    attn_cfg=None,
    norm_epsilon=1e-5,
    rms_norm=False,
    residual_in_fp32=False,
    fused_add_norm=False,
    layer_idx=None,
    device=None,
    dtype=None,
):
    """A block of Mamba-1; other layers are refused."""
    ssm_cfg = dict(ssm_cfg or {})
    layer = ssm_cfg.pop("layer", "Mamba1")
    if layer != "Mamba1":
        fail("MambaConfig", "ssm_cfg['layer']", "'Mamba1', the one that there is", describe(layer))
    if attn_layer_idx:
        expected = "empty: there is no attention"
        fail("MambaConfig", "attn_layer_idx", expected, f"{list(attn_layer_idx)}")
    factory = {"device": device, "dtype": dtype}
    mixer = functools.partial(Mamba, layer_idx=layer_idx, **ssm_cfg, **factory)
    norm = functools.partial(norm_class(rms_norm), eps=norm_epsilon, **factory)
    mlp = nn.Identity
    if d_intermediate:
        widths = {"hidden_features": d_intermediate, "out_features": d_model}
        mlp = functools.partial(GatedMLP, **widths, **factory)
    block = Block(d_model, mixer, mlp, norm, fused_add_norm, residual_in_fp32)
    block.layer_idx = layer_idx
    return block


def norm_class(rms_norm):
    """That of the blocks."""
    return RMSNorm if rms_norm else nn.LayerNorm


def _init_weights(
    module,
    n_layer,
    initializer_range=0.02,
    rescale_prenorm_residual=True,
    n_residuals_per_layer=1,
):
    """For `Module.apply`: biases, embeddings, and what is added to the stream by each layer.

    With so many layers the sum would grow by the root of their number.
    """
    if isinstance(module, nn.Linear) and module.bias is not None:
        if not getattr(module.bias, "_no_reinit", False):
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=initializer_range)
    for name, parameter in module.named_parameters() if rescale_prenorm_residual else ():
        if name in ("out_proj.weight", "fc2.weight"):
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5))
            with torch.no_grad():
                parameter /= math.sqrt(n_residuals_per_layer * n_layer)


class MixerModel(nn.Module):
    """Embeddings, blocks and a norm: tokens (b, l) to (b, l, d_model)."""

    def __init__(
        self,
        d_model,
        n_layer,
        d_intermediate=0,
        vocab_size=None,
        ssm_cfg=None,
        attn_layer_idx=None,
        attn_cfg=None,
        norm_epsilon=1e-5,
        rms_norm=False,
        initializer_cfg=None,
        fused_add_norm=False,
        residual_in_fp32=False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.fused_add_norm, self.residual_in_fp32 = fused_add_norm, residual_in_fp32
        factory = {"device": device, "dtype": dtype}
        self.embedding = nn.Embedding(vocab_size, d_model, **factory)
        layers = ssm_cfg, attn_layer_idx, attn_cfg, norm_epsilon, rms_norm
        layers = d_model, d_intermediate, *layers, residual_in_fp32, fused_add_norm
        self.layers = nn.ModuleList([create_block(*layers, i, **factory) for i in range(n_layer)])
        self.norm_f = norm_class(rms_norm)(d_model, eps=norm_epsilon, **factory)
        sums = {"n_layer": n_layer, "n_residuals_per_layer": 2 if d_intermediate else 1}
        self.apply(functools.partial(_init_weights, **sums, **initializer_cfg or {}))

    def forward(self, input_ids, inference_params=None, **mixer_kwargs):
        hidden, residual = self.embedding(input_ids), None
        for layer in self.layers:
            hidden, residual = layer(hidden, residual, inference_params, **mixer_kwargs)
        sums = self.fused_add_norm, self.residual_in_fp32
        return add_norm(self.norm_f, hidden, residual, *sums)[0]

    def allocate_inference_cache(self, batch_size, max_seqlen, dtype=None, **kwargs):
        """The states of each layer, by its number."""
        return {
            i: layer.allocate_inference_cache(batch_size, max_seqlen, dtype=dtype, **kwargs)
            for i, layer in enumerate(self.layers)
        }


class MambaLMHeadModel(nn.Module, GenerationMixin):
    """A `MixerModel` with logits for the next token: tokens (b, l) to (b, l, vocabulary)."""

    def __init__(self, config, initializer_cfg=None, device=None, dtype=None):
        super().__init__()
        self.config = config
        multiple = config.pad_vocab_size_multiple
        vocab_size = -(-config.vocab_size // multiple) * multiple
        self.backbone = MixerModel(
            config.d_model,
            config.n_layer,
            config.d_intermediate,
            vocab_size,
            config.ssm_cfg,
            config.attn_layer_idx,
            config.attn_cfg,
            rms_norm=config.rms_norm,
            initializer_cfg=initializer_cfg,
            fused_add_norm=config.fused_add_norm,
            residual_in_fp32=config.residual_in_fp32,
            device=device,
            dtype=dtype,
        )
        factory = {"device": device, "dtype": dtype}
        self.lm_head = nn.Linear(config.d_model, vocab_size, bias=False, **factory)
        self.tie_weights()

    def tie_weights(self):
        """One matrix for what goes in and what comes out, if the config says so."""
        if self.config.tie_embeddings:
            self.lm_head.weight = self.backbone.embedding.weight

    def forward(
        self, input_ids, position_ids=None, inference_params=None, num_last_tokens=0, **mixer_kwargs
    ):
        """`.logits`, of the last tokens only if so many are asked for; positions do not matter."""
        hidden = self.backbone(input_ids, inference_params, **mixer_kwargs)
        hidden = hidden[:, -num_last_tokens:] if num_last_tokens > 0 else hidden
        return CausalLMOutput(self.lm_head(hidden))

    def allocate_inference_cache(self, batch_size, max_seqlen, dtype=None, **kwargs):
        return self.backbone.allocate_inference_cache(batch_size, max_seqlen, dtype, **kwargs)

    @classmethod
    def from_pretrained(cls, pretrained_model_name, device=None, dtype=None, **kwargs):
        """The model of a folder, or of a repository on the Hugging Face Hub."""
        config = MambaConfig(**load_config_hf(pretrained_model_name))
        model = cls(config, device=device, dtype=dtype, **kwargs)
        model.load_state_dict(load_state_dict_hf(pretrained_model_name, device, dtype))
        return model

    def save_pretrained(self, save_directory):
        """Write what `from_pretrained` reads."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.state_dict(), folder / WEIGHTS)
        text = json.dumps(asdict(self.config), indent=4)
        (folder / CONFIG).write_text(text, encoding="utf-8")
