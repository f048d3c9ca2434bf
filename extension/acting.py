"""What all ways have in common in a sampler call of the web UIs."""

from __future__ import annotations

from typing import Any

from ..detour.ways.way import Coverage, Way


class Acting:
    """One way in one sampler call, with the count of what it did.

    `follow` is called before each of the denoiser's calls; `detach` may be called at any time,
    leaves no trace in the model, and the next `follow` puts back what is needed.
    """

    counts: type[Coverage]

    def __init__(self, p: Any, way: Way) -> None:
        self.p, self.way = p, way
        self.coverage: Any = self.counts(way)

    def follow(self, params: Any, progress: float) -> None:
        """Prepare the denoiser call that the host's `params` announce.

        Raises ValueError with one sentence where the way cannot act.
        """

    def detach(self) -> None:
        """Take everything out."""

    def missed(self) -> str | None:
        """The notice for a whole sampler call in which nothing could be done, or None."""
        return self.coverage.missed()
