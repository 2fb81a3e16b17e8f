"""What selscan raises and warns with besides ValueError, TypeError and RuntimeError."""


class BackendUnavailable(RuntimeError):
    """A backend cannot run on this machine; the message says why and what would help."""


class SlowPathWarning(UserWarning):
    """The call works, but there is a faster way, which the message names."""
