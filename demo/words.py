"""The words that the tiny model understands."""

from __future__ import annotations

from .faces import JOBS

VOCABULARY = ("", *JOBS)
TOKENS = 4
"""Tokens of a prompt, so that cross-attention has something to choose from."""
WIDTH = 64


def word_index(prompt: str) -> int:
    """The place of a prompt in `VOCABULARY`; case and surrounding space do not matter.

    Raises ValueError with the known words for any other prompt.
    """
    word = prompt.strip().lower()
    if word not in VOCABULARY:
        known = ", ".join(VOCABULARY[1:])
        raise ValueError(
            f"The tiny model does not know the prompt {prompt!r}. It knows: {known}; "
            "leave the prompt empty for anybody."
        )
    return VOCABULARY.index(word)
