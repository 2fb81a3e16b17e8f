"""How fast the emulator is; run `PYTHONPATH=tests python -m emulator.speed`."""

from . import demos, sanitizers

SIZES = {None: (2, 64, 1024, 16), "address": (2, 64, 1024, 16), "thread": (2, 16, 1024, 16)}


def main():
    """Million steps a second of each build; the sanitizers' in processes of their own."""
    for sanitizer, sizes in SIZES.items():
        print(sanitizer or "plain", end=": ", flush=True)
        if sanitizer is None:
            demos.speed(*sizes)
        else:
            print(sanitizers.run(sanitizer, "emulator.demos.speed", *sizes).stdout, end="")


if __name__ == "__main__":
    main()
