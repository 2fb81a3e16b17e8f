"""How far something long has come, by tqdm where that is installed."""

import sys


def progress(items, total, describe):
    """The items, with a bar on stderr if that is a terminal; `describe` gives the text of one."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        yield from items
        return
    with tqdm(total=total, leave=False, disable=not sys.stderr.isatty(), file=sys.stderr) as bar:
        for item in items:
            bar.set_description_str(describe(item))
            yield item
            bar.update()


def say(text):
    """Print a line at once; a bar moves down."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        print(text, flush=True)
        return
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()
