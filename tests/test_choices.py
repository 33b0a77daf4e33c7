"""Views, guesses and replies in Chromium and Firefox, by themselves on a page: mouse, keys, names that are read out."""

from __future__ import annotations

import pytest
from chromium import wait
from PIL import Image
from selenium.webdriver.common.keys import Keys

from fixlip_helpers.widgets import guess, replies, stack_view

CHOICES = ("it raises the score", "it lowers the score", "that depends")
TEXTS = ("It does not.", "It does.", "It does not depend.")
VIEW = stack_view(
    ["red", "green", "blue"], [Image.new("RGB", (40, 20), c) for c in ("red", "green", "blue")],
    ["a red field", "a green field", "a blue field"], description="colour", selected=1,
)  # fmt: skip
DARK = "color: #eee; background: #111; color-scheme: dark"


@pytest.fixture
def page(browser, tmp_path):
    """Opens a page with these outputs, one after another, as a notebook has them."""

    def opened(*outputs, style: str = "") -> None:
        body = "".join(f"<div class='output'>{output._repr_html_()}</div>" for output in outputs)
        path = tmp_path / "page.html"
        head = "<!doctype html><html lang='en'><meta charset='utf-8'><title>Choices</title>"
        path.write_text(f"{head}<body style='{style}'>{body}", encoding="utf-8")
        browser.get(path.as_uri())

    return opened


def forms(browser) -> list:
    return browser.find_elements("css selector", "form")


def chosen(form) -> list[int]:
    return [k for k, button in enumerate(form.find_elements("css selector", "input")) if button.is_selected()]


def seen(form) -> list[int]:
    return [
        k for k, panel in enumerate(form.find_elements("css selector", ".fx-panel")) if panel.is_displayed()
    ]


def click(form, number: int) -> None:
    form.find_elements("css selector", "label")[number].click()


def test_the_chosen_panel_is_seen_and_two_copies_do_not_meet(page, browser):
    page(VIEW, VIEW)
    first, second = forms(browser)
    assert seen(first) == seen(second) == [1]
    click(first, 2)
    assert (seen(first), seen(second)) == ([2], [1])
    assert chosen(second) == [1]


def test_keys_choose_and_enter_sends_nothing(page, browser):
    page(VIEW)
    before = browser.current_url
    browser.find_element("css selector", "input:checked").send_keys(Keys.ARROW_RIGHT)
    assert seen(forms(browser)[0]) == [2]
    browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert seen(forms(browser)[0]) == [0]
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert browser.current_url == before and seen(forms(browser)[0]) == [0]


def test_what_is_read_out(page, browser):
    page(VIEW, guess(CHOICES))
    view, asked = forms(browser)
    group = view.find_element("css selector", "fieldset")
    assert (group.aria_role, group.accessible_name) == ("group", "colour")
    assert asked.find_element("css selector", "fieldset").accessible_name == "Your guess"
    buttons = asked.find_elements("css selector", "input")
    assert [(button.aria_role, button.accessible_name) for button in buttons] == [
        ("radio", text) for text in CHOICES
    ]
    noted = asked.find_element("css selector", "[role=status]")
    assert not noted.is_displayed()
    click(asked, 0)
    assert noted.is_displayed() and noted.text


def test_the_reply_follows_the_guess_and_the_guess_not_the_reply(page, browser):
    page(
        guess(CHOICES),
        replies(CHOICES, TEXTS),
        guess(["yes", "no"]),
        replies(["yes", "no"], ["So it is.", "It is."]),
    )
    asked, answered, _, other = forms(browser)
    assert chosen(answered) == seen(answered) == []
    for number in (2, 0):
        click(asked, number)
        assert chosen(answered) == seen(answered) == [number]
    click(answered, 1)
    assert seen(answered) == [1] and chosen(asked) == [0]
    assert chosen(other) == []


def test_replies_that_come_later_know_the_guess(page, browser):
    """As in a notebook, where their cell is run after the guess, by a program that puts scripts in as new elements."""
    page(guess(CHOICES))
    click(forms(browser)[0], 1)
    browser.execute_script(
        """
        const output = document.createElement('div');
        output.innerHTML = arguments[0];
        const script = document.createElement('script');
        script.textContent = output.querySelector('script').textContent;
        document.body.append(output);
        output.querySelector('script').replaceWith(script);
        """,
        replies(CHOICES, TEXTS)._repr_html_(),
    )
    wait(lambda: seen(forms(browser)[1]) == [1], "the reply")


@pytest.mark.parametrize("style", ["", DARK], ids=["light", "dark"])
def test_colours_are_the_page_s(style, page, browser):
    page(VIEW, guess(CHOICES), style=style)
    colours = browser.execute_script("""
        const colour = e => getComputedStyle(e).color;
        return [colour(document.body), ...[...document.querySelectorAll('legend, label')].map(colour)];
    """)
    assert len(colours) == 9 and len(set(colours)) == 1
    card = "return getComputedStyle(document.querySelector('form')).backgroundColor"
    assert browser.execute_script(card) in ("rgba(0, 0, 0, 0)", "transparent")


def test_without_styles_and_scripts_everything_is_read(page, browser):
    """What a program shows that takes both away: labels and panels, one after another."""
    page(VIEW, replies(CHOICES, TEXTS))
    browser.execute_script("document.querySelectorAll('style, script').forEach(element => element.remove())")
    assert all(seen(form) == [0, 1, 2] for form in forms(browser))
    text = browser.find_element("css selector", "body").text
    places = [text.index(part) for pair in zip(CHOICES, TEXTS, strict=True) for part in pair]
    assert places == sorted(places)
