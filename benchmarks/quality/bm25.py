"""BM25, which search is compared with: over the same words, with our stemming. It needs bm25s (requirements-bench.txt)."""

from collections.abc import Awaitable, Callable, Sequence

from language.text import STOP_WORDS, folded, terms

Find = Callable[[str], Awaitable[list[str]]]
"""A search: the names of what it finds, best first."""


def bm25_search(texts: Sequence[str], names: Sequence[str], limit: int) -> Find | None:
    """A search over `texts` that finds at most `limit` of their `names`; None where bm25s is not installed."""
    try:
        import bm25s  # type: ignore[import-not-found, import-untyped, unused-ignore]  # optional: requirements-bench.txt
    except ImportError:
        return None
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index([stemmed_words(text) for text in texts], show_progress=False)

    async def find(query: str) -> list[str]:
        known = [word for word in stemmed_words(query) if word in index.vocab_dict]
        if not known:
            return []
        numbers, scores = index.retrieve([known], k=min(limit, len(texts)), show_progress=False)
        return [names[number] for number, score in zip(numbers[0], scores[0], strict=True) if score > 0]

    return find


def stemmed_words(text: str) -> list[str]:
    """The words of a text as BM25 gets them: stemmed, without stop words."""
    return [term for word in folded(text) if word not in STOP_WORDS for term in terms(word)]
