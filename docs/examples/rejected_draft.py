"""Decode with drafts, some of which are rejected, and go back to the state before.

    python docs/examples/rejected_draft.py

A cheap model drafts a few tokens, the real one reads them in a single call and keeps those that it
would have chosen itself. Attention would drop the keys of the others; a state cannot be undone, so
the call returns the state after every token of the draft, and decoding goes on from the one after
the last token that was kept. The text is the one of decoding token by token.
"""

import argparse
import signal

import torch

from selscan import nn

VOCABULARY, WIDTH, DRAFT = 50, 32, 4


class Language(torch.nn.Module):
    """One mixer between an embedding and its transpose."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(VOCABULARY, WIDTH)
        self.mixer = nn.Mamba(WIDTH)

    def forward(self, tokens, state=None, steps=()):
        """The next token after each of them, and the states after some."""
        x = self.embedding(tokens)
        y, states = self.mixer(x, state=state, return_states_at=steps)
        return (x + y) @ self.embedding.weight.T, states


def greedy(model, prompt, count):
    """Token by token: a prefill, then a call for each."""
    logits, [state] = model(prompt, steps=[prompt.shape[1] - 1])
    found = []
    for _ in range(count):
        found.append(logits[:, -1:].argmax(-1))
        logits, [state] = model(found[-1], state, [0])
    return torch.cat(found, 1)


def drafted(model, prompt, count, draft):
    """The same with drafts: the tokens, and how many of the drafts were kept at each call."""
    logits, [state] = model(prompt, steps=[prompt.shape[1] - 1])
    found, kept = logits[:, -1:].argmax(-1), []
    while found.shape[1] < count:
        guess = torch.cat((found[:, -1:], draft(torch.cat((prompt, found), 1))), 1)
        logits, states = model(guess, state, range(guess.shape[1]))
        chosen = logits.argmax(-1)
        agree = (chosen[0, :-1] == guess[0, 1:]).int().cumprod(0)
        kept.append(int(agree.sum()))
        state = states[kept[-1]]  # after the last token that was right: the rest never happened
        found = torch.cat((found, chosen[:, : kept[-1] + 1]), 1)
    return found[:, :count], kept


def main(count=24):
    torch.manual_seed(0)
    model = Language().double().eval()
    prompt = torch.randint(VOCABULARY, (1, 10))
    with torch.no_grad():
        want = greedy(model, prompt, count + DRAFT)

        def draft(text):
            """The right tokens, but for one in three: a stand-in for a smaller model."""
            at = text.shape[1] - prompt.shape[1]
            guess = want[:, at : at + DRAFT - 1].clone()
            guess[:, at % 3 :] = (guess[:, at % 3 :] + (at % 2)) % VOCABULARY
            return guess

        found, kept = drafted(model, prompt, count, draft)
    print(f"{count} tokens in {len(kept)} calls; kept of the drafts: {kept}")
    assert found.equal(want[:, :count])
    return kept


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
