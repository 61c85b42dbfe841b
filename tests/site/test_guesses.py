"""The questions that a reader answers before the text does."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from .conftest import Visit, built_pages, pages_with_guesses


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
