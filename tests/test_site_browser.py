"""The built site as a reader uses it: search, navigation, dark mode.

SELSCAN_SITE names it, as in tests/test_site.py. Selenium drives a headless Chromium through
chromedriver: `apt-get install chromium chromium-driver`.
"""

import re

import pytest
from built_site import CHROMEDRIVER, CHROMIUM, SITE, needs_site, served

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not here")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [
    needs_site,
    pytest.mark.skipif(
        CHROMIUM is None or CHROMEDRIVER is None,
        reason="there is no chromedriver here: apt-get install chromium chromium-driver",
    ),
]
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def address():
    with served(SITE) as found:
        yield found


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A Chromium that reaches this machine alone."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
        "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    # A window has a least width; what pages see has none.
    driver.see = lambda size: driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False},
    )
    yield driver
    driver.quit()


@pytest.fixture
def browser(chromium, address):
    """One at a desk that remembers nothing of the site."""
    chromium.see(DESK)
    chromium.get(f"{address}/index.html")
    chromium.execute_script("localStorage.clear()")
    chromium.refresh()
    return chromium


def wait(browser, condition):
    """What a condition of the browser is once it is true."""
    return WebDriverWait(browser, 30).until(condition)


def shown(browser, selector):
    """The first element that a reader sees, once there is one."""
    return wait(
        browser,
        lambda x: next(
            filter(lambda y: y.is_displayed(), x.find_elements(By.CSS_SELECTOR, selector)), None
        ),
    )


def click(browser, element):
    """Where it stands still: the site scrolls smoothly."""
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element
    )
    element.click()


def page(browser):
    """The name of the page that is open."""
    return re.search(r"/([\w-]*)\.html", browser.current_url)[1]


@pytest.mark.parametrize(
    ("words", "name"),
    [("zigzag", "paths"), ("scan_backward", "api"), ("sanitizers", "emulator")],
)
def test_search_finds_a_page(browser, words, name):
    shown(browser, "input.sidebar-search").send_keys(words + Keys.ENTER)

    result = shown(browser, f'#search-results a[href^="{name}.html"]')
    click(browser, result)

    wait(browser, lambda x: page(x) == name)
    assert words in browser.find_element(By.TAG_NAME, "article").text


def test_search_finds_nothing_for_no_word(browser, address):
    browser.get(f"{address}/search.html?q=qqxyzzy")

    wait(browser, lambda x: "did not match" in x.find_element(By.ID, "search-results").text)
    assert browser.find_elements(By.CSS_SELECTOR, "#search-results a") == []


def test_the_sidebar_and_the_next_page_lead_on_and_back(browser):
    click(browser, shown(browser, '.sidebar-tree a[href="models.html"]'))
    wait(browser, lambda x: page(x) == "models")

    click(browser, shown(browser, "a.next-page"))
    wait(browser, lambda x: page(x) == "model-cards")
    assert browser.find_element(By.CSS_SELECTOR, ".sidebar-tree a.current").text == "Model cards"

    click(browser, shown(browser, "a.prev-page"))
    wait(browser, lambda x: page(x) == "models")


def test_on_a_phone_a_button_opens_the_sidebar(browser):
    browser.see(PHONE)
    link = browser.find_element(By.CSS_SELECTOR, '.sidebar-tree a[href="models.html"]')
    assert link.rect["x"] + link.rect["width"] <= 0

    click(browser, shown(browser, ".nav-overlay-icon"))
    wait(browser, lambda _: link.rect["x"] >= 0)
    click(browser, link)

    wait(browser, lambda x: page(x) == "models")


def luminance(browser):
    """Of the ground of the page, 0 to 255."""
    colour = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3


def figures(browser):
    """Whether the light and the dark form of the home page's figure are seen."""
    found = browser.find_elements(By.CSS_SELECTOR, 'article img[src*="speed-"]')
    return {re.search(r"speed-(\w+)", x.get_attribute("src"))[1]: x.is_displayed() for x in found}


def test_dark_mode_is_switched_and_stays(browser, address):
    assert luminance(browser) > 200
    assert figures(browser) == {"light": True, "dark": False}

    click(browser, shown(browser, ".theme-toggle"))
    wait(browser, lambda x: luminance(x) < 60)
    assert figures(browser) == {"light": False, "dark": True}

    browser.get(f"{address}/models.html")
    assert luminance(browser) < 60
    browser.refresh()
    assert luminance(browser) < 60

    click(browser, shown(browser, ".theme-toggle"))
    wait(browser, lambda x: luminance(x) > 200)


def column(browser, number):
    """The cells of a column of the cards, as numbers where they are."""
    cells = browser.find_elements(By.CSS_SELECTOR, f"table.sortable td:nth-child({number})")
    return [float(x.text.replace(",", "")) for x in cells if x.text != "-"]


def test_the_cards_are_sorted_by_mouse_and_keyboard(browser, address):
    browser.get(f"{address}/model-cards.html")
    button, before = shown(browser, "table.sortable th:nth-child(3) button"), column(browser, 3)
    head = browser.find_element(By.CSS_SELECTOR, "table.sortable th:nth-child(3)")
    assert len(before) > 20
    assert before != sorted(before)

    click(browser, button)
    assert (head.get_attribute("aria-sort"), column(browser, 3)) == ("ascending", sorted(before))

    button.send_keys(Keys.ENTER)
    assert head.get_attribute("aria-sort") == "descending"
    assert column(browser, 3) == sorted(before, reverse=True)

    click(browser, shown(browser, "table.sortable th:nth-child(5) button"))
    assert head.get_attribute("aria-sort") is None
    last = browser.find_element(By.CSS_SELECTOR, "table.sortable tr:last-child td:nth-child(5)")
    assert last.text == "-"
