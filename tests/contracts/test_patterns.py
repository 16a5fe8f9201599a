"""The pattern language: what it takes, what it refuses, and that it never tries twice."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.sdk.fields import Text
from contracts.sdk.patterns import BadPattern, Pattern


@pytest.mark.parametrize(
    ("source", "good", "bad"),
    [
        ("[A-Z0-9]+", ["A", "0Z9"], ["", "a", "A ", "\u00c4", "\uff21"]),
        ("[A-Z]{2}[0-9]*(-[0-9]+)?", ["AB", "AB1-2", "AB-7"], ["AB-", "A1", "AB1-"]),
        (r"\d{2}\.\d", ["12.3"], ["12x3", "\u0661\u06622.3"]),
        ("(ab|cd){2,3}x", ["ababx", "cdabcdx"], ["abx", "ababcdabx", "abab"]),
        (".{1,4}", ["a b!"], ["", "abcde", "a\n", "\u00e4"]),
        ("[^a-z]+", ["A-1"], ["Ab", "\u00c4", "A\n"]),
        (r"[\]\-\\a]", ["]", "-", "\\", "a"], ["b", "[", "]]"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("x{3}", ["xxx"], ["xx", "xxxx"]),
        ("x{2,}", ["xx", "x" * 50], ["x"]),
    ],
)
def test_patterns_match_all_of_a_text(source: str, good: list[str], bad: list[str]) -> None:
    pattern = Pattern(source)
    assert [text for text in good if not pattern.matches(text)] == []
    assert [text for text in bad if pattern.matches(text)] == []
    assert pattern.matches(pattern.example())
    # Written out it says the same once more, to Python and to other readers.
    assert Pattern(pattern.regex).regex == pattern.regex


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(a+)+", "begin, and what follows it too, with 'a'"),
        ("(a|a)*", "two branches of a choice may begin with 'a'"),
        ("(a|ab)c", "two branches"),
        ("a*a*b", "with 'a'"),
        ("[a-z]*x", "with 'x'"),
        ("(a?){20}", "what may be empty has a count"),
        ("(a?b?)*", "what may be empty has a count"),
        ("([a-z]{1,2}){2}", "with 'a'"),
        ("(x|y?)z", "an empty branch"),
        (r"(\w+@)?\d", "with '0'"),
        ("a{3}{2}", "one count upon another"),
        ("a+?", "one count upon another"),
        ("a{0}", "counts go upwards"),
        ("a{5,2}", "counts go upwards"),
        ("a{1001}", "at most 1000"),
        ("a{,3}", "a count is"),
        ("(?=a)b", "look ahead"),
        ("(?P<n>a)", "look ahead"),
        (r"a\1", "behind a backslash"),
        (r"a\b", "behind a backslash"),
        (r"\s", "behind a backslash"),
        ("^a$", "'^' means nothing here"),
        ("[z-a]", "a range goes"),
        (r"[\d-z]", "a range goes"),
        ("[]", "no character is in"),
        ("[^ -~]", "no character is in"),
        ("[[:alpha:]]", "[ stands in it"),
        ("[a", "not closed"),
        ("(a", "not closed"),
        ("a)", "closes nothing"),
        ("a|", "something must stand here"),
        ("*", "means nothing here"),
        ("((((( a )))))", "groups within"),
        ("\u00e4", "only printable ASCII"),
        ("a\nb", "only printable ASCII"),
        ("", "1 to 512"),
        ("a" * 513, "1 to 512"),
        ("." * 200, "written out"),
    ],
)
def test_other_patterns_are_refused_when_the_contract_is_loaded(source: str, reason: str) -> None:
    with pytest.raises(BadPattern) as caught:
        Text(40, pattern=source)
    assert reason in str(caught.value)


SOURCES = st.recursive(
    st.sampled_from(["a", "b", "c", "[ab]", "[^ab]", "."]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda one: f"({'|'.join(one)})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{2,}"])).map(
            lambda one: f"({one[0]}){one[1]}"
        ),
    ),
    max_leaves=6,
)


@given(SOURCES, st.text("abcd", max_size=8))
def test_what_is_taken_means_the_same_as_a_regular_expression(source: str, text: str) -> None:
    try:
        pattern = Pattern(source)
    except BadPattern:
        return
    assert bool(pattern.matches(text)) == bool(re.fullmatch(source, text))
    # Possessive: nothing that was taken is ever given back, so no text is tried twice.
    possessive = re.sub(r"([?*+]|\{[0-9,]+\})(?!\+)", r"\1+", source)
    assert bool(pattern.matches(text)) == bool(re.fullmatch(possessive, text))
    example = pattern.example(3)
    assert pattern.matches(example) and re.fullmatch(source, example)


def test_texts_of_fields_still_have_their_lengths() -> None:
    field = Text(3, 2, pattern="[A-Z0-9]+")
    assert field.check("EA") == "EA"
    assert field.schema()["pattern"] == "^(?:[A-Z0-9]+)$"
    assert Text(9, pattern="[^a]").schema()["pattern"] == "^(?:[ -`b-~])$"
    assert Text(9, 5, pattern="[a-z]*").example() == "aaaaa"
    assert Text(1 << 20, 1 << 20, pattern="[a-z]*").example() == "a" * (1 << 20)
    assert Text(40, 7, pattern="A(-[0-9]{2,3})*").example() == "A-111-111"
