"""Tests of the page of `lenskit explore` in a headless browser without network."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bokeh.palettes import Bright6, Viridis256
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from lenskit.kinds.parameter import Parameter
from lenskit_evaluation.explore.page import BINS, MIDDLE, UNKNOWN, Shown, described, page
from lenskit_evaluation.explore.sprites import Sprites

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))

SCRIPT = "</script><script>document.documentElement.dataset.broken = 'yes'; alert(1)</script>"
IMAGE = "<img src=x onerror=\"document.documentElement.dataset.broken = 'yes'\">"

COLUMNS, ROWS = 10, 6
LENSES = COLUMNS * ROWS

PARAMETERS = [
    Parameter("theta_E", "arcsec", r"$\theta_E$", headline=True),
    Parameter("kind", classes=("smooth", SCRIPT, "$$\\alpha$$")),
    Parameter("e1", symbol=IMAGE),
    Parameter("constant"),
]


def lenses() -> Shown:
    """Return lenses on a grid, each with a picture in a different colour."""
    number = np.arange(LENSES)
    colours = np.random.default_rng(1).integers(0, 256, (LENSES, 3))
    pictures = np.broadcast_to(colours[:, None, None].astype(np.uint8), (LENSES, 16, 16, 3))
    values = {
        "theta_E": 0.5 + 0.01 * (number * 37 % LENSES),
        "kind": np.where(number % 4 == 3, np.nan, number % 4),
        "e1": np.where(number % 2 == 0, np.nan, number / 7.0),
        "constant": np.ones(LENSES),
    }
    names = [f"{name} {i}" for i, name in enumerate([SCRIPT, IMAGE, "lens"] * (LENSES // 3))]
    places = np.stack([number % COLUMNS, number // COLUMNS], axis=1).astype(float)
    return Shown(f"run {SCRIPT}", [f"fact {IMAGE}"], places, names, PARAMETERS, values, Sprites.of(pictures))


@pytest.fixture(scope="module")
def shown() -> Shown:
    return lenses()


@pytest.fixture(scope="module")
def html(shown: Shown) -> str:
    return page(shown)


class Browser:
    """Chromium with the open page."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path) -> None:
        self.driver.get_log("performance")
        self.driver.get(path.as_uri())
        self.wait(lambda: self.script("return document.body.dataset.ready === 'yes'"))

    def wait(self, ready: Callable[[], Any]) -> Any:
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, 60, 0.05).until(lambda _: ready())

    def script(self, code: str, *arguments: Any) -> Any:
        return self.driver.execute_script(code, *arguments)

    def text(self, name: str) -> str:
        return self.script("return document.getElementById(arguments[0]).textContent", name)

    def texts(self, selector: str) -> list[str]:
        return self.script("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)

    def place(self, lens: int) -> tuple[int, int]:
        """Return the position of a lens on the screen."""
        code = """
            const map = Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name("map").id);
            const {x, y} = map.model.renderers[0].data_source.data, {x_scale, y_scale} = map.frame;
            const {left, top} = map.canvas_view.el.getBoundingClientRect();
            return [left + x_scale.compute(x[arguments[0]]), top + y_scale.compute(y[arguments[0]])];
        """
        x, y = self.script(code, lens)
        return round(x), round(y)

    def point(self, *places: tuple[int, int], drag: bool = False) -> None:
        """Move the pointer to several places, with the button down from first to last."""
        from selenium.webdriver.common.action_chains import ActionChains

        actions = ActionChains(self.driver, duration=20)
        for number, place in enumerate(places):
            actions.w3c_actions.pointer_action.move_to_location(*place)
            if drag and number == 0:
                actions.w3c_actions.pointer_action.pointer_down()
        if drag:
            actions.w3c_actions.pointer_action.pointer_up()
        actions.perform()

    def choose(self, parameter: int) -> None:
        """Choose the colouring parameter with the keyboard."""
        from selenium.webdriver.common.keys import Keys

        select = self.driver.find_element("id", "parameter")
        select.send_keys(Keys.HOME, *[Keys.ARROW_DOWN] * parameter)
        self.wait(lambda: select.get_property("value") == str(parameter))

    def pixel(self, place: tuple[int, int]) -> np.ndarray:
        """Return the colour of the screen at a position, 0 to 1."""
        return imread(io.BytesIO(self.driver.get_screenshot_as_png()))[place[1], place[0], :3]

    def select(self, *corners: tuple[int, int]) -> None:
        self.point(*corners, drag=True)
        self.wait(lambda: "selected" in self.text("count"))

    def clear(self) -> None:
        self.script("document.getElementById('clear').click()")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium and chromedriver here to look at the page with")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
        "disable-component-update", "disable-sync", "enable-unsafe-swiftshader", "window-size=1280,943",
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}", "host-resolver-rules=MAP * ~NOTFOUND",
    ):  # fmt: skip
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def opened(chromium: Browser, html: str, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Browser with the page, opened once for all tests."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(html, encoding="utf-8")
    chromium.open(path)
    return chromium


@pytest.fixture
def browser(opened: Browser) -> Iterator[Browser]:
    """Return a browser with the page in its initial state; check script errors."""
    yield opened
    opened.clear()
    opened.choose(0)
    assert (
        opened.script("return document.documentElement.dataset.broken") is None
    )  # selenium raises an error if there is an alert
    assert [entry for entry in opened.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


class Loaded(HTMLParser):
    """Parser that collects the resources that a page loads."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "action")]


@pytest.mark.slow
def test_the_page_asks_for_nothing(html: str) -> None:
    loaded = Loaded(html)
    assert loaded.tags.count("script") > 3
    assert [address for address in loaded.addresses if not address.startswith("data:")] == []
    assert "img" not in loaded.tags


def test_the_page_loads_nothing_and_says_what_it_shows(browser: Browser, shown: Shown) -> None:
    messages = [json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")]
    requests = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    here = browser.driver.current_url
    asked = [request["request"]["url"] for request in requests if request["documentURL"] == here]
    assert [address for address in asked if not address.startswith(("data:", "blob:"))] == [here]
    assert browser.driver.title == shown.heading
    assert browser.texts("h1") == [shown.heading]
    assert browser.texts("header p") == list(shown.facts)
    assert browser.texts("#parameter option") == ["θ_E (arcsec)", "kind", IMAGE, "constant"]
    assert browser.text("count") == f"All {LENSES} lenses"
    assert browser.script("return document.documentElement.scrollWidth") <= 1280


@pytest.mark.parametrize("lens", [17, 42])
def test_hovering_shows_the_lens_and_its_parameters(browser: Browser, shown: Shown, lens: int) -> None:
    browser.point((5, 5), browser.place(lens))
    browser.wait(lambda: browser.text("name") == shown.names[lens])
    told = dict(zip(browser.texts("#values dt"), browser.texts("#values dd"), strict=True))
    kind = shown.values["kind"][lens]
    assert told == {
        "θ_E (arcsec)": f"{shown.values['theta_E'][lens]:.4g}",
        "kind": PARAMETERS[1].classes[int(kind)].replace("$", ""),
        IMAGE: f"{shown.values['e1'][lens]:.4g}" if lens % 2 else "not known",
        "constant": "1",
    }
    picture = browser.driver.find_element("css selector", "#picture .picture").screenshot_as_png
    colour = np.random.default_rng(1).integers(0, 256, (LENSES, 3))[lens] / 255
    assert imread(io.BytesIO(picture))[..., :3].mean((0, 1)) == pytest.approx(colour, abs=0.02)


def test_another_parameter_gives_other_colours(browser: Browser, shown: Shown) -> None:
    from bokeh.colors import RGB

    def expected(parameter: int, lens: int) -> np.ndarray:
        known = described(PARAMETERS[parameter], shown.values[PARAMETERS[parameter].name])
        value = shown.values[PARAMETERS[parameter].name][lens]
        steps = len(known["palette"])
        step = np.clip((value - known["low"]) / (known["high"] - known["low"]) * steps, 0, steps - 1)
        colour = UNKNOWN if np.isnan(value) else known["palette"][int(step)]
        return 0.85 * np.array(to_rgb(colour)) + 0.15 * np.array(to_rgb(RGB(250, 250, 250).to_hex()))

    for parameter in (0, 1, 2):
        browser.choose(parameter)
        for lens in (12, 21, 23, 47):
            place, wanted = browser.place(lens), expected(parameter, lens)
            browser.wait(lambda p=place, w=wanted: np.abs(browser.pixel(p) - w).max() < 0.03)
    browser.choose(1)
    assert browser.texts("#legend .key") == ["smooth", SCRIPT, "\\alpha", f"not known: {LENSES // 4}"]
    browser.choose(0)
    assert browser.texts("#legend .key") == []


def histograms(browser: Browser) -> list[dict[str, list[float]]]:
    """Return the bars of each histogram."""
    code = """
        const models = arguments[0].map((_, i) => Bokeh.documents[0].get_model_by_name(`histogram-${i}`));
        return models.map(({renderers}) => Object.fromEntries(
            Object.entries(renderers[0].data_source.data).map(([name, column]) => [name, [...column]])));
    """
    return browser.script(code, [parameter.name for parameter in PARAMETERS])


def test_a_box_fills_the_gallery_and_the_histograms(browser: Browser, shown: Shown) -> None:
    assert all(sum(bars["selected"]) == 0 for bars in histograms(browser))
    (left, top), (right, bottom) = browser.place(41), browser.place(23)
    browser.select((left - 10, top - 10), (left + 5, top + 5), (right + 10, bottom + 10))
    wanted = np.array([row * COLUMNS + column for row in (2, 3, 4) for column in (1, 2, 3)])
    assert browser.text("count") == f"9 of {LENSES} selected"
    titles = browser.script("return [...document.querySelectorAll('#gallery button')].map(e => e.title)")
    assert titles == [shown.names[lens] for lens in wanted[np.argsort(shown.values["theta_E"][wanted])]]
    for parameter, bars in zip(PARAMETERS, histograms(browser), strict=True):
        edges = np.append(bars["left"], bars["right"][-1])
        for rows, name in ((wanted, "selected"), (np.arange(LENSES), "all")):
            values = shown.values[parameter.name][rows].astype(np.float32)
            values = values[~np.isnan(values)]
            counts = np.histogram(values.clip(edges[0], edges[-1]), edges)[0]
            assert bars[name] == pytest.approx(counts / len(values))
    order = browser.script("return [...document.querySelectorAll('.histograms > div')].map(e => +e.style.order)")
    assert order[3] == 0 > order[0]
    browser.clear()
    browser.wait(lambda: browser.text("count") == f"All {LENSES} lenses")
    assert all(sum(bars["selected"]) == 0 for bars in histograms(browser))


def test_a_lasso_selects_and_the_gallery_shows_where_a_lens_is(browser: Browser, shown: Shown) -> None:
    use = "Bokeh.documents[0].get_model_by_name('map').toolbar.tools.find(t => t.type === arguments[0]).active = true"
    browser.script(use, "LassoSelectTool")
    (x0, y0), (x1, y1), (x2, y2) = browser.place(0), browser.place(2), browser.place(20)
    browser.select((x0 - 12, y0 + 12), (x1 + 25, y1 + 12), (x2 - 12, y2 - 25), (x0 - 12, y0 + 12))
    browser.script(use, "BoxSelectTool")
    titles = browser.script("return [...document.querySelectorAll('#gallery button')].map(e => e.title)")
    assert sorted(titles) == sorted(shown.names[lens] for lens in (0, 1, 2, 10, 11, 20))
    browser.script("document.querySelector('#gallery button').focus()")
    assert browser.text("name") == titles[0]
    ring = browser.script("return Bokeh.documents[0].get_model_by_name('map').renderers[1].data_source.data")
    assert [ring["x"], ring["y"]] == [[value] for value in shown.places[shown.names.index(titles[0])]]


def test_without_pictures_and_parameters_the_map_is_there(chromium: Browser, shown: Shown, tmp_path: Path) -> None:
    bare = Shown("bare", [], shown.places, shown.names, [], {})
    path = tmp_path / "bare.html"
    path.write_text(page(bare), encoding="utf-8")
    chromium.open(path)
    assert chromium.texts("header p") == ["There are no pictures, because a file of embeddings contains no images."]
    assert chromium.texts("main label") == []
    assert chromium.texts("#gallery button") == list(shown.names)
    chromium.point((5, 5), chromium.place(33))
    chromium.wait(lambda: chromium.text("name") == shown.names[33])
    assert [entry for entry in chromium.driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_colours_span_the_middle_of_the_values_and_histograms_little_more() -> None:
    values = np.append(np.linspace(0, 1, 99), 1e6)
    known = described(Parameter("width"), np.append(values, [np.nan, np.inf]))
    assert (known["low"], known["high"]) == pytest.approx(np.percentile(values, MIDDLE))
    assert known["palette"] == list(Viridis256)
    assert known["unknown"] == 2
    assert np.isnan(known["values"][-2:]).all()
    assert len(known["edges"]) == BINS + 1
    assert known["edges"][0] == 0
    assert 1 < known["edges"][-1] < 1.3 * known["high"]


def test_what_is_constant_or_not_known_has_a_range() -> None:
    for values in (np.ones(4), np.full(4, np.nan)):
        known = described(Parameter("width"), values)
        assert known["low"] < known["high"]
        assert (np.diff(known["edges"]) > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 6, 20, 45])
def test_each_class_has_a_colour_and_a_bar(n: int) -> None:
    known = described(Parameter("kind", classes=tuple(map(str, range(n)))), np.zeros(3))
    assert len(known["palette"]) == n
    assert len(set(known["palette"])) == min(n, 20)
    assert known["palette"][:2] == list(Bright6[:2]) or n > len(Bright6)
    assert (known["low"], known["high"]) == (-0.5, n - 0.5)
    assert known["edges"] == pytest.approx(np.arange(n + 1) - 0.5)
