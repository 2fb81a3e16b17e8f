from collections.abc import Sequence
from types import TracebackType
from typing import Self

class Patch:
    names: dict[str, str]
    def undo(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

def patch(targets: str | Sequence[str] = "auto", override: bool = False) -> Patch: ...
