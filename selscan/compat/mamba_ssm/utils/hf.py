"""mamba_ssm.utils.hf: a model's files, from a folder or a repository on the Hugging Face Hub."""

import json
from pathlib import Path

import torch

CONFIG, WEIGHTS = "config.json", "pytorch_model.bin"


def load_config_hf(model_name):
    """The numbers of config.json, as a dict."""
    return json.loads(_file(model_name, CONFIG).read_text(encoding="utf-8"))


def load_state_dict_hf(model_name, device=None, dtype=None):
    """The tensors of pytorch_model.bin by name, and never code."""
    found = torch.load(_file(model_name, WEIGHTS), map_location="cpu", weights_only=True)
    return {name: x.to(device=device, dtype=dtype) for name, x in found.items()}


def _file(model_name, name):
    """In a folder, or in the cache of huggingface_hub."""
    folder = Path(model_name)
    if folder.is_dir():
        return folder / name
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        text = f"mamba_ssm: huggingface_hub is needed to get {model_name} from the Hugging Face Hub"
        raise ModuleNotFoundError(f"{text}. Install it: pip install huggingface_hub") from error
    return Path(hf_hub_download(str(model_name), name))
