"""The service's page in a real browser, served by the real service: by keyboard, by phone, in the dark, in trouble."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.service_server import EIFFEL, proxied
from tools.browser import find_browser

pytestmark = pytest.mark.xdist_group("service")
in_browser = pytest.mark.needs("browser")

HOSTILE = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'> The river runs through the town."
LONG = "Donaudampfschifffahrt" * 30 + f". {EIFFEL}"
EXPECTED_IN_TROUBLE = "Failed to load resource"  # what the browser itself writes about a status above 399

CONTRASTS = """() => {
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map((one) => one / 255)
      .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if (colour !== "rgba(0, 0, 0, 0)") return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  return [...document.body.querySelectorAll("*")].filter((one) => own(one) && one.checkVisibility()).map((one) => {
    const [high, low] = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a);
    return [(high + 0.05) / (low + 0.05), one.tagName + ": " + one.textContent.slice(0, 40)];
  });
}"""


@pytest.fixture(scope="module")
def browser():
    program = find_browser()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page with what it asked for and what it complained about."""

    def __init__(self, browser: Browser, address: str, **settings: Any) -> None:
        self.page = browser.new_context(**settings).new_page()
        self.page.set_default_timeout(20_000)
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda line: self.errors.append(line.text) if line.type == "error" else None)
        self.address = address

    def open(self):
        self.page.goto(self.address)
        expect(self.page.locator("#state")).to_have_text("ready")
        return self.page

    def ask(self, text=EIFFEL):
        """Open the page, ask, and wait for the answer."""
        page = self.open()
        page.fill("#text", text)
        page.click("#send")
        expect(page.locator("#answer")).to_be_visible()
        return page


@pytest.fixture
def watch(browser, service):
    """Makes watched pages; afterwards none of them has complained or asked another host."""
    made: list[Watched] = []

    def make(address=service.address, **settings):
        made.append(Watched(browser, address, **settings))
        return made[-1]

    yield make
    for one in made:
        one.page.context.close()
        assert not one.errors
        assert all(url.startswith((one.address, "data:")) for url in one.requests)


def answering(watched, answers):
    """Lets /chat answer these (status, headers, body) first, then the service itself. The list of those still left."""
    left = list(answers)

    def handle(route):
        if not left:
            return route.continue_()
        status, headers, body = left.pop(0)
        return route.fulfill(status=status, headers=headers, body=body, content_type="application/json")

    watched.page.route("**/chat", handle)
    return left


def complaints(watched):
    """What the page itself complained about while statuses above 399 were provoked; empties the list."""
    found = [one for one in watched.errors if EXPECTED_IN_TROUBLE not in one]
    watched.errors.clear()
    return found


def focused(page):
    return page.evaluate("document.activeElement.id")


@in_browser
def test_a_question_by_keyboard_alone(watch):
    page = watch().open()
    seen = []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen.append(focused(page))
        if focused(page) == "text":
            break
    page.keyboard.type(EIFFEL)
    for wanted in ("fill", "steps", "candidates"):
        page.keyboard.press("Tab")
        assert focused(page) == wanted
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"  # the ring that shows where one is
        if wanted == "steps":
            page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#news")).to_contain_text("Answered by small: 2 steps")
    assert page.locator("#lists details").count() == 2
    page.keyboard.press("Tab")
    assert focused(page) == "send"
    page.keyboard.press("Enter")  # the button too
    expect(page.locator("#news")).to_contain_text("Answered")


@in_browser
def test_answer_candidates_and_plots(watch, service):
    watched = watch()
    page = watched.ask()
    told = service.post("/chat", {"paragraph": EIFFEL}).json
    best = told["steps"][0]["candidates"]
    expect(page.locator("#continuation")).to_contain_text(told["response"])
    assert page.locator("#lists p").all_text_contents() == [one["text"] for one in best]
    assert page.locator("#lists .source").all_text_contents() == [one["title"] for one in best]
    assert page.locator("#lists svg").count() == len(best) == 5
    assert page.locator("#confidence").text_content() == f"{told['confidence']:.0%}".replace("%", "\u00a0%")
    expect(page.locator("#note")).to_have_text(told["confidence_note"])
    assert page.locator("#context li").count() == 5
    assert page.locator("#context li.repeated").count() == 4
    assert page.locator("#context li.you").count() == 1
    expect(page.locator("#context")).to_contain_text(EIFFEL)
    assert page.locator("#times li").count() == len(told["latency_breakdown"])
    longest = page.locator("#times .bar").evaluate_all("bars => Math.max(...bars.map((bar) => bar.getBBox().width))")
    assert longest > 100
    expect(page.locator("#model")).to_contain_text("small: transformer")
    expect(page.locator("#model")).to_contain_text("60 chunks")


@in_browser
def test_plain_retrieval_stands_beside_the_prediction(watch, service):
    told = service.post("/chat", {"paragraph": EIFFEL}).json
    best = told["steps"][0]["candidates"]
    told["similar"] = [best[0] | {"text": "word " * 50}, best[1] | {"article_id": "elsewhere"}]
    watched = watch(viewport={"width": 1280, "height": 800})
    answering(watched, [(200, {}, json.dumps(told))])
    page = watched.ask()
    assert page.locator("#similar .source").all_text_contents() == [one["title"] for one in told["similar"]]
    assert page.locator("#similar p").all_text_contents() == ["word " * 24 + "\u2026", best[1]["text"]]
    for place in ("#lists", "#similar"):
        assert page.locator(f"{place} .both").count() == 1
        expect(page.locator(f"{place} li").first).to_contain_text("in both")
    expect(page.locator("#shared")).to_have_text("1 of 5 chunks is in both.")
    left, right = page.locator("#lists").bounding_box(), page.locator("#similar").bounding_box()
    assert left["x"] + left["width"] < right["x"]


@in_browser
def test_on_a_phone_the_candidates_come_before_the_times_and_no_word_is_cut(watch):
    page = watch(viewport={"width": 390, "height": 844}).ask(f"{EIFFEL} " * 20)
    tops = [page.locator(f"#{name}").bounding_box()["y"] for name in ("lists", "similar", "context", "times")]
    assert tops == sorted(tops)
    texts = page.locator("#context li > .small:last-child").all_text_contents()
    assert len(texts) == 5
    assert {word for text in texts for word in text.split()} <= {*EIFFEL.split(), "\u2026"}
    clipped = "all => all.filter((one) => getComputedStyle(one).overflow === 'hidden').map((one) => one.className)"
    assert page.locator("main *").evaluate_all(clipped) == []


@pytest.fixture
def behind_a_proxy(service):
    with proxied(service) as address:
        yield address


@in_browser
def test_behind_a_proxy_with_a_prefix_and_places_filled_from_the_bank_are_told(behind_a_proxy, watch):
    page = watch(behind_a_proxy).open()
    page.fill("#text", EIFFEL)
    page.select_option("#fill", "neighbours")
    page.click("#send")
    expect(page.locator("#context li.bank").first).to_contain_text("from the bank")
    expect(page.locator("#mode")).to_contain_text("precedes the best match in the bank")
    links = page.locator("a").evaluate_all("links => links.map((link) => link.href)")
    assert links == [f"{behind_a_proxy}{name}" for name in ("openapi.json", "metrics")]
    assert all(page.request.get(link).ok for link in links)


@in_browser
def test_hostile_text_is_text(watch, service):
    told = service.post("/chat", {"paragraph": EIFFEL}).json
    for one in told["steps"][0]["candidates"]:
        one |= {"text": HOSTILE, "title": HOSTILE, "source": HOSTILE}
    told |= {"response": HOSTILE, "model": HOSTILE, "confidence_note": HOSTILE}
    watched = watch()
    page = watched.ask(HOSTILE)  # the service gives it back as a place of the context
    assert HOSTILE in page.locator("#context").text_content()
    answering(watched, [(200, {}, json.dumps(told))])
    page.click("#send")
    expect(page.locator("#continuation")).to_contain_text(HOSTILE)
    expect(page.locator(".candidates .source").first).to_have_text(HOSTILE)
    expect(page.locator("#news")).to_contain_text(HOSTILE)
    answering(watched, [(422, {}, json.dumps({"error": HOSTILE}))])
    page.click("#send")
    expect(page.locator("#trouble")).to_contain_text(HOSTILE)
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1
    assert not complaints(watched)


@in_browser
def test_busy_and_starting_are_said_and_asked_again(watch):
    watched = watch()
    page = watched.open()
    left = answering(
        watched,
        [
            (429, {"Retry-After": "1"}, '{"error": "busy: 64 requests wait already"}'),
            (503, {"Retry-After": "2"}, '{"error": "the service is starting"}'),
        ],
    )
    page.fill("#text", EIFFEL)
    page.click("#send")
    expect(page.locator("#trouble")).to_have_text("Busy, trying again in 1 s.")
    expect(page.locator("#trouble")).to_have_text("The service is starting, trying again in 2 s.")
    expect(page.locator("#answer")).to_be_visible()
    expect(page.locator("#trouble")).to_be_hidden()
    assert not left
    assert not complaints(watched)


@in_browser
def test_waiting_can_be_stopped(watch):
    watched = watch()
    page = watched.open()
    answering(watched, [(429, {"Retry-After": "60"}, '{"error": "busy"}')])
    page.fill("#text", EIFFEL)
    page.click("#send")
    expect(page.locator("#trouble")).to_contain_text("trying again in 60 s")
    page.click("#stop")
    expect(page.locator("#news")).to_have_text("Stopped.")
    expect(page.locator("#trouble")).to_be_hidden()
    assert focused(page) == "text"
    assert not complaints(watched)


@in_browser
def test_trouble_in_words(watch):
    watched = watch()
    page = watched.open()
    page.click("#send")
    expect(page.locator("#trouble")).to_contain_text("There is no text yet")
    page.fill("#text", "word " * 5000)
    expect(page.locator("#count")).to_have_text("25,000 of 20,000 characters")
    page.click("#send")
    expect(page.locator("#trouble")).to_contain_text("20000 characters")  # the service's own sentence
    page.fill("#text", EIFFEL)
    answering(watched, [(502, {}, "<html>Bad gateway</html>"), (200, {}, '{"response": 1}'), (500, {}, "{}")])
    for sentence in ("cannot be read (status 502)", "another form", "refused with status 500"):
        page.click("#send")
        expect(page.locator("#trouble")).to_contain_text(sentence)
    page.route("**/chat", lambda route: route.abort())
    page.click("#send")
    expect(page.locator("#trouble")).to_contain_text("cannot be reached")
    assert page.input_value("#text") == EIFFEL
    assert page.get_attribute("#trouble", "role") == "alert"
    assert page.get_attribute("#news", "role") == "status"
    assert not complaints(watched)


@in_browser
def test_a_service_that_starts_is_waited_for(watch):
    watched = watch()
    state = {"status": "starting", "reasons": ["model is being loaded"], "model": "small", "uptime_s": 1.0}
    watched.page.route("**/health", lambda route: route.fulfill(status=503, body=json.dumps(state)), times=1)
    watched.page.goto(watched.address)
    expect(watched.page.locator("#state")).to_have_text("starting")
    expect(watched.page.locator("#reasons")).to_have_text("Model is being loaded.")
    expect(watched.page.locator("#state")).to_have_text("ready")
    expect(watched.page.locator("#reasons")).to_be_hidden()
    assert not complaints(watched)


@in_browser
def test_light_and_dark_differ_and_both_can_be_read(watch):
    grounds = set()
    for scheme in ("light", "dark"):
        page = watch(color_scheme=scheme).ask()
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 40
        assert not [one for one in contrasts if one[0] < 4.5]  # WCAG AA
    assert len(grounds) == 2


@in_browser
@pytest.mark.parametrize("width", [320, 360, 1280])
def test_nothing_sticks_out_sideways(watch, service, width):
    told = service.post("/chat", {"paragraph": LONG, "steps": 3, "fill": "neighbours"}).json
    for one in [*told["context"]["slots"], *(one for step in told["steps"] for one in step["candidates"])]:
        one |= {"text": LONG, "title": LONG}
    told |= {"response": LONG, "model": LONG, "confidence_note": LONG}
    watched = watch(viewport={"width": width, "height": 740})
    answering(watched, [(200, {}, json.dumps(told))])
    page = watched.ask(LONG)
    for folded in page.locator("summary").all()[1:]:
        folded.click()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    out = "all => all.filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5).map((one) => one.tagName)"
    assert page.locator("main *").evaluate_all(out) == []


@in_browser
def test_everything_that_can_be_set_has_a_name(watch):
    page = watch().open()
    for field in page.locator("textarea, select").all():
        assert page.locator(f"label[for={field.get_attribute('id')}]").text_content()
    for button in page.locator("button").all():
        assert button.text_content()
    assert page.get_attribute("html", "lang") == "en"


def test_the_page_needs_no_loose_policy(service):
    answer = service.get("/")
    headers = {name.lower(): value for name, value in answer.headers.items()}
    policy, page = headers["content-security-policy"], answer.body.decode()
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+\s*=\s*[\"']", page)  # handlers as attributes
    assert not re.search(r"\sstyle\s*=\s*[\"']", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", page)
