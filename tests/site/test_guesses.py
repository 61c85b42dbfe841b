"""The questions that a reader answers before the text does."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .conftest import Visit, built_pages, pages_with_guesses
from .small_book import Book


def test_every_chapter_asks() -> None:
    chapters = {page for page in built_pages() if re.match(r"chapters/\d", page)}
    assert chapters
    assert chapters <= set(pages_with_guesses())


def test_a_choice_opens_the_answer_and_is_judged(visit: Visit, guess_page: str) -> None:
    page = visit(guess_page)
    for guess in page.locator(".guess").all():
        answer, verdict = guess.locator(".guess-answer"), guess.locator(".guess-verdict")
        choices = guess.get_by_role("radio").all()
        assert len(choices) == guess.locator(".guess-choices > li").count() >= 2
        assert answer.get_attribute("open") is None
        expect(verdict).to_be_empty()
        verdicts = set()
        for number, choice in enumerate(choices, 1):
            choice.check()
            expect(verdict).to_have_text(re.compile(f"^You guessed {number}"))
            verdicts.add(verdict.inner_text().endswith("that is right."))
        assert verdicts == {True, False}
        assert answer.get_attribute("open") is not None
        expect(answer.locator("p").first).to_be_visible()


def test_a_guess_is_made_with_the_keyboard_and_remembered(visit: Visit) -> None:
    page = visit(pages_with_guesses()[0])
    guess = page.locator(".guess").first
    guess.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowDown")
    expect(guess.locator(".guess-verdict")).to_have_text(re.compile("^You guessed 2"))
    page.reload()
    expect(guess.get_by_role("radio").nth(1)).to_be_checked()
    expect(guess.locator(".guess-verdict")).to_have_text(re.compile("^You guessed 2"))
    assert guess.locator(".guess-answer").get_attribute("open") is None


def test_without_scripts_the_answer_can_be_unfolded(visit: Visit) -> None:
    page = visit(pages_with_guesses()[0], java_script_enabled=False)
    guess = page.locator(".guess").first
    expect(guess.get_by_role("radio")).to_have_count(0)
    answer = guess.locator(".guess-answer p").first
    expect(answer).not_to_be_visible()
    guess.locator("summary").click()
    expect(answer).to_be_visible()


GUESS = """# Claims

```{guess}
:label: a-guess
:answer: 2

Where?

1. Here.
2. There.

---
It is there.
```
"""


def build_guess(book: Book, text: str) -> str:
    """Return the HTML of a page with a guess."""
    book.write("index.md", "# Book\n\n```{toctree}\nclaims\n```\n")
    book.write("claims.md", text)
    return book.build()


def test_a_guess_marks_its_right_choice_and_folds_its_answer(small_book: Book) -> None:
    page = build_guess(small_book, GUESS)
    assert re.search(r'<div class="guess [^"]*" id="a-guess">', page)
    assert re.search(r'<li class="guess-right"><p>There\.</p>', page)
    assert page.index("<details") < page.index("It is there.") < page.index("</details>")
    assert page.index("Here.") < page.index("<details")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":answer: 2", ":answer: 3", "answer must be one of the 2 choices, got 3"),
        (":answer: 2\n", "", "a guess needs the option answer"),
        (":label: a-guess\n", "", "a guess needs the option label"),
        ("---\n", "", "a numbered list of choices with a rule"),
        ("1. Here.\n2. There.\n", "", "a numbered list of choices with a rule"),
    ],
)
def test_a_guess_that_cannot_be_asked_is_an_error(
    small_book: Book, old: str, new: str, message: str
) -> None:
    assert old in GUESS
    with pytest.raises(AssertionError, match=message):
        build_guess(small_book, GUESS.replace(old, new))
