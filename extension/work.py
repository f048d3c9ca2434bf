"""What one browser session of the tab holds, and how work in it is done: with progress, a stop
that keeps nothing, and one sentence for whatever went wrong.

Imports nothing heavy: the page is built from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..detour.checks import shortened
from .host import log

Show = Callable[[float, str], None]
"""Shows the finished share (0..1) of what is being done."""


class Stopped(RuntimeError):
    """The user pressed Stop."""


class Work:
    """One piece of work: whoever reports progress also learns here that it shall stop."""

    def __init__(self, show: Show) -> None:
        self.show = show
        self.is_stopped = False

    def check(self) -> None:
        """Raises Stopped once the user has pressed Stop."""
        if self.is_stopped:
            raise Stopped

    def counted(self, what: str) -> Callable[[int, int], None]:
        """Progress as (pictures done, pictures in all)."""

        def progress(done: int, total: int) -> None:
            self.check()
            self.show(done / max(total, 1), what)

        return progress

    def shared(self, what: str) -> Callable[[float], None]:
        """Progress as the finished share."""

        def progress(share: float) -> None:
            self.check()
            self.show(share, what)

        return progress


@dataclass(frozen=True, eq=False)
class Held:
    """What has been loaded and made: an `EditedClassifier`, a `ProbeSet`, the last edit.

    last: a `LastEdit`, as long as it is the last edit of the classifier.
    """

    classifier: Any = None
    probes: Any = None
    last: Any = None


@dataclass(frozen=True, eq=False)
class Shown:
    """What the tab shows after an action; None leaves a part as it is.

    chart: a PIL picture. pictures: PIL pictures with captions. labels: of a new classifier.
    """

    message: str
    report: str | None = None
    chart: Any = None
    pictures: tuple[tuple[Any, str], ...] = ()
    labels: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None


Action = Callable[..., tuple[Held, Shown]]
"""(what is held, the work, values of the controls) to what is held then, and what is shown."""


class TabSession:
    """One browser session. Gradio makes one for each by copying an empty one."""

    __slots__ = ("held", "work")

    def __init__(self) -> None:
        self.held: Any = Held()
        self.work: Work | None = None

    def stop(self) -> None:
        """Let the work under way, if there is any, end at its next report of progress."""
        if self.work is not None:
            self.work.is_stopped = True

    def run(self, find: Callable[[], Action], values: tuple[Any, ...], show: Show) -> Shown:
        """Do an action; what it made is kept only if it came to its end.

        find: gives the action; it may have to import what it needs.
        """
        if self.work is not None:
            return Shown("Something is still running in this tab: wait for it, or press Stop.")
        work = self.work = Work(show)
        try:
            held, shown = find()(self.held, work, *values)
            work.check()
            self.held = held
            return shown
        except Stopped:
            return Shown("Stopped: nothing of it was kept.")
        except ImportError as error:
            told = sentence(error)
            return Shown(f"A library is missing in the host's Python ({told}): install it there.")
        except (ValueError, OSError, MemoryError) as error:
            return Shown(sentence(error))
        except RuntimeError as error:  # PyTorch's, such as no room on the device
            log.exception("Detour: this was not expected.")
            return Shown(f"This failed ({sentence(error)}); the log has more.")
        finally:
            self.work = None


def sentence(error: BaseException) -> str:
    """What an error says, in one line of bounded length."""
    return shortened(str(error)) or type(error).__name__
