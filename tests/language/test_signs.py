"""Words with signs that mean something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language.signs import MAX_SIGN_WORDS, sign_words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("C# and C++, F#!", ["c#", "c++", "f#"]),
        (".NET 4.0 (node.js) on Python 3.11.", [".net", "4.0", "node.js", "3.11"]),
        ("H&M CI/CD TCP/IP 24/7", ["h&m", "ci/cd", "tcp/ip", "24/7"]),
        ("Disney+ A+ C++20", ["disney+", "a+", "c++"]),
        ("CAFÉ.js", ["cafe.js"]),
        ("🔥Fire❤️ 👍🏽 🇺🇸 ★", ["🔥", "❤", "👍", "🇺🇸", "★"]),
        ("see https://example.org/a.b?c#d or www.example.org/x", []),
        ("k8s plain-words, 1+1 foo#bar #tag a + b ... and so", []),
    ],
)
def test_words_with_signs_are_found_as_typed(text: str, found: list[str]) -> None:
    assert list(sign_words(text)) == found


@given(st.text(max_size=300))
def test_any_text_gives_words_that_are_found_again_in_themselves(text: str) -> None:
    for word in sign_words(text):
        assert list(sign_words(word)) == [word]


def test_of_very_many_the_first_are_taken() -> None:
    assert list(sign_words("🔥" * 20_000)) == ["🔥"] * MAX_SIGN_WORDS
