"""What selscan raises besides ValueError, TypeError and RuntimeError."""


class BackendUnavailable(RuntimeError):
    """A backend cannot run on this machine; the message says why and what would help."""
