"""mamba_ssm.utils.generation: text token by token."""

import time
from dataclasses import dataclass, field

import torch

from ....messages import fail


@dataclass
class InferenceParams:
    """What mixers keep between tokens: states by layer, and how many tokens there were."""

    max_seqlen: int
    max_batch_size: int
    seqlen_offset: int = 0
    batch_size_offset: int = 0
    key_value_memory_dict: dict = field(default_factory=dict)
    lengths_per_sample: torch.Tensor | None = None

    def reset(self, max_seqlen, max_batch_size):
        """For another sequence; a prefill writes the states anew."""
        self.max_seqlen, self.max_batch_size = max_seqlen, max_batch_size
        self.seqlen_offset = 0
        if self.lengths_per_sample is not None:
            self.lengths_per_sample.zero_()


@dataclass
class Generated:
    """sequences (b, l), and the scores (b, vocabulary) of each new token, or None."""

    sequences: torch.Tensor
    scores: tuple | None = None


def sample(logits, top_k=1, top_p=0.0, min_p=0.0, temperature=1.0):
    """Tokens (b,) drawn by the softmax of logits (b, vocabulary) / temperature.

    From the top_k largest; or, where top_k is 0, from those with at least min_p times the largest
    probability. Of these the smallest set is kept whose probabilities sum up to top_p. The numbers
    0 turn a condition off, and top_k = 1 takes the largest.
    """
    if top_k == 1:
        return logits.argmax(-1)
    if not 0 <= top_p <= 1:
        fail("sample", "top_p", "in 0 .. 1", top_p)
    scores = logits / temperature
    if top_k > 0:
        least = scores.topk(min(top_k, scores.shape[-1]), -1).values[..., -1:]
        scores = scores.masked_fill(scores < least, -torch.inf)
    elif min_p > 0:
        chances = logits.softmax(-1)
        unlikely = chances < min_p * chances.amax(-1, keepdim=True)
        scores = scores.masked_fill(unlikely, -torch.inf)
    if 0 < top_p < 1:
        ordered, places = scores.sort(-1)
        rest = ordered.softmax(-1).cumsum(-1) <= 1 - top_p  # from the least likely on
        scores = scores.masked_fill(rest.scatter(-1, places, rest), -torch.inf)
    return torch.multinomial(scores.softmax(-1), 1)[:, 0]


def penalised(logits, tokens, penalty):
    """Logits of tokens that were there before are divided, or multiplied if negative."""
    found = logits.gather(1, tokens)
    found = torch.where(found < 0, found * penalty, found / penalty)
    return logits.scatter(1, tokens, found)


@torch.inference_mode()
def decode(
    input_ids,
    model,
    max_length,
    top_k=1,
    top_p=0.0,
    min_p=0.0,
    temperature=1.0,
    repetition_penalty=1.0,
    eos_token_id=None,
    teacher_outputs=None,
    vocab_size=None,
    cg=False,
    enable_timing=False,
    output_scores=False,
    streamer=None,
):
    """input_ids (b, l) and what `sample` adds, up to max_length tokens, as `Generated`.

    All end where each has eos_token_id. Tokens of teacher_outputs (b, l) stand in place of drawn
    ones. Of the logits the first vocab_size count. A streamer has put() and end(). `cg` asks for
    CUDA graphs, which there are none of.
    """
    start = time.perf_counter()
    if streamer is not None:
        streamer.put(input_ids.cpu())
    params = InferenceParams(max_seqlen=max_length, max_batch_size=len(input_ids))
    sequences, token, scores = input_ids, input_ids, []
    while sequences.shape[1] < max_length:
        logits = model(token, inference_params=params, num_last_tokens=1).logits[:, -1, :vocab_size]
        params.seqlen_offset = l = sequences.shape[1]
        if repetition_penalty != 1:
            logits = penalised(logits, sequences, repetition_penalty)
        if output_scores:
            scores.append(logits.clone())
        if teacher_outputs is not None and teacher_outputs.shape[1] > l:
            token = teacher_outputs[:, l : l + 1]
        else:
            token = sample(logits, top_k, top_p, min_p, temperature)[:, None]
        sequences = torch.cat((sequences, token), 1)
        if streamer is not None:
            streamer.put(token.cpu())
        if eos_token_id is not None and (token == eos_token_id).all():
            break
    if streamer is not None:
        streamer.end()
    if enable_timing:
        print(f"Prompt and tokens: {1e3 * (time.perf_counter() - start):.0f} ms")
    return Generated(sequences, tuple(scores) if output_scores else None)


class GenerationMixin:
    """`generate` for models whose forward takes inference_params and num_last_tokens."""

    def allocate_inference_cache(self, batch_size, max_seqlen, dtype=None, **kwargs):
        raise NotImplementedError

    def generate(
        self,
        input_ids,
        max_length,
        top_k=1,
        top_p=0.0,
        min_p=0.0,
        temperature=1.0,
        return_dict_in_generate=False,
        output_scores=False,
        **kwargs,
    ):
        """Sequences (b, l), or with return_dict_in_generate all of `decode`'s result."""
        form = top_k, top_p, min_p, temperature
        found = decode(input_ids, self, max_length, *form, output_scores=output_scores, **kwargs)
        return found if return_dict_in_generate else found.sequences
