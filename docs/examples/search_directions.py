"""Search the directions of a small LocalMamba from start to end, and draw what was found.

    python docs/examples/search_directions.py [--epochs 6]

As in LocalMamba (Huang et al. 2024): a net that scans all eight candidates in each layer learns a
weight for each, and the four with the largest are kept. The found net is then trained from the
start, and so is one of the same size with fixed routes. The images are scikit-learn's digits. It
needs pillow, and writes search.png: a column for each layer, a row for each candidate, darker
where its share is larger, and framed where it is kept.
"""

import argparse
import signal

import torch
from classify_digits import load, train
from PIL import Image, ImageDraw, ImageFont

from selscan import models
from selscan.models.localvim import searched_routes
from selscan.nn.routes import CANDIDATES, RouteSum

SIZE = {"depths": (1, 2, 1), "dim": 16, "num_classes": 10, "in_chans": 1, "drop_path_rate": 0.0}
FIXED = (("h", "h_flip", "w2", "w2_flip"),) * sum(SIZE["depths"])
CELL, LEFT, TOP, TEXT = 56, 96, 48, "#30363f"  # pixels of a cell, of names, of numbers


def shares_of(model):
    """The shares of the candidates in each layer, (layers, candidates)."""
    weights = [x.weights for x in model.modules() if isinstance(x, RouteSum)]
    return torch.stack([x.detach().flatten().softmax(0) for x in weights])


def drawn(shares, routes):
    """The table of layers and candidates."""
    font, small = ImageFont.load_default(14), ImageFont.load_default(11)
    layers, candidates = shares.shape
    size = (LEFT + layers * CELL + 16, TOP + candidates * CELL + 16)
    picture = Image.new("RGB", size, "white")
    pen, low, high = ImageDraw.Draw(picture), shares.min(), shares.max()
    pen.text((8, 16), "layer", TEXT, font)
    for row, name in enumerate(CANDIDATES):
        pen.text((8, TOP + row * CELL + 18), name, TEXT, font)
    for layer in range(layers):
        pen.text((LEFT + layer * CELL + 22, 16), str(layer + 1), TEXT, font)
        for row, name in enumerate(CANDIDATES):
            share = shares[layer, row].item()
            depth = (share - low) / (high - low) if high > low else 0.0
            ink = tuple(round(255 - float(depth) * (255 - x)) for x in (158, 202, 233))
            x, y = LEFT + layer * CELL, TOP + row * CELL
            box, kept = (x + 3, y + 3, x + CELL - 3, y + CELL - 3), name in routes[layer]
            pen.rectangle(box, ink, "#5b4b8a" if kept else "#d9dde4", 3 if kept else 1)
            pen.text((x + 14, y + 20), f"{share:.1%}", TEXT, small)
    return picture


def main(epochs=6, out="search.png", images=None):
    """Search, draw, train both nets; the routes, and the accuracies of search, found and fixed."""
    torch.set_num_threads(1)  # layers this small lose more than they gain by sharing
    train_images, labels, *test = load()
    data = train_images[:images], labels[:images], *test
    torch.manual_seed(0)
    search = models.create("local_vssm_tiny_search", **SIZE)
    scores = {"search": train(search, data, epochs, title="search")}
    routes = searched_routes(search)
    drawn(shares_of(search), routes).save(out)
    for layer, names in enumerate(routes, 1):
        print(f"layer {layer}: {', '.join(names)}")
    for title, chosen in (("found", routes), ("fixed", FIXED)):
        torch.manual_seed(1)
        net = models.create("local_vssm_tiny", routes=chosen, **SIZE)
        scores[title] = train(net, data, epochs, title=title)
    print(", ".join(f"{title} {score:.1%}" for title, score in scores.items()))
    return routes, scores


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # ends in silence where `head` has enough
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--images", type=int, help="of those to train on; all if not given")
    parser.add_argument("--out", default="search.png", help="the picture")
    main(**vars(parser.parse_args()))
