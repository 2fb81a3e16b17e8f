"""The parts by name, in their order, with the seconds that they have in the plan of eight minutes.

worker.py says what a part is.
"""

FIRST = "machine"
PARTS = {
    FIRST: 45,
    "correct": 100,
    "micro": 15,
    "start": 40,
    "speed": 190,
    "models": 30,
    "sanitize": 60,
}
BY_NAME_ONLY = {"sweep": 100, "maps": 150}
SECONDS = PARTS | BY_NAME_ONLY


def module_of(part):
    """What to import for it."""
    return f"{__name__}.{part}"
