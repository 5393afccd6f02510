// Behaviour of the page of `lenskit explore`. Bokeh draws the map and the histograms, and calls `start`, `hover` and
// `select`. The rest is plain HTML; all texts are inserted as text, never as HTML.
"use strict";

const explore = (() => {
  const GALLERY = 120; // maximum number of pictures
  const at = (id) => document.getElementById(id);
  let page; // the data that page.py passes to `start`
  let selected = [];

  const whole = (n) => n.toLocaleString("en");

  function element(tag, className = "", text = "") {
    const made = document.createElement(tag);
    made.className = className;
    made.textContent = text;
    return made;
  }

  function formatted(parameter, value) {
    if (Number.isNaN(value)) return "not known";
    return parameter.classes[value] ?? String(Number(value.toPrecision(4)));
  }

  // Returns an element with the picture of a lens, enlarged by the factor `zoom`.
  function picture(lens, zoom) {
    const made = element("span", "picture");
    if (!page.side) return made;
    const [side, columns] = [page.side * zoom, page.columns];
    const sheet = Math.floor(lens / columns ** 2);
    const place = lens % columns ** 2;
    made.classList.add(`sheet-${sheet}`);
    Object.assign(made.style, {
      width: `${side}px`,
      height: `${side}px`,
      backgroundSize: `${side * columns}px`,
      backgroundPosition: `${-side * (place % columns)}px ${-side * Math.floor(place / columns)}px`,
    });
    made.setAttribute("role", "img");
    made.setAttribute("aria-label", `image of ${page.names[lens]}`);
    return made;
  }

  function show(lens) {
    at("name").textContent = page.names[lens];
    const rows = page.parameters.map((parameter) => {
      const row = element("div");
      row.append(element("dt", "", parameter.label), element("dd", "", formatted(parameter, parameter.values[lens])));
      row.title = parameter.name;
      return row;
    });
    at("values").replaceChildren(...rows);
    at("picture").replaceChildren(...(page.side ? [picture(lens, Math.max(Math.round(144 / page.side), 1))] : []));
  }

  // Draws a ring around a lens on the map, or removes it. This redraws the entire map, so `hover` draws no rings.
  function mark(lens) {
    const { x, y } = page.points.data;
    page.here.data = lens === undefined ? { x: [], y: [] } : { x: [x[lens]], y: [y[lens]] };
  }

  // Shows the nearest of the points under the pointer.
  function hover({ index, geometry }) {
    const { x, y } = page.points.data;
    const distance = (lens) => Math.hypot(x[lens] - geometry.x, y[lens] - geometry.y);
    const lenses = Array.from(index.indices);
    if (!lenses.length) return;
    show(lenses.reduce((a, b) => (distance(b) < distance(a) ? b : a)));
    if (page.here.data.x.length) mark();
  }

  function colour() {
    const parameter = page.parameters[at("parameter").value];
    const { palette, low, high } = parameter;
    page.mapper.setv({ palette, low, high });
    page.points.data.value = parameter.values;
    page.points.change.emit();
    page.bar.visible = !parameter.classes.length;

    const key = (colour, text) => {
      const made = element("span", "key", text);
      made.style.setProperty("--colour", colour);
      return made;
    };
    const keys = parameter.classes.map((name, number) => key(palette[number], name));
    if (parameter.unknown) keys.push(key(page.mapper.nan_color, `not known: ${whole(parameter.unknown)}`));
    at("legend").replaceChildren(...keys);
    gallery();
  }

  // Shows up to GALLERY of the selected lenses, or of all lenses, in order of the parameter that colours the map.
  function gallery() {
    const all = page.names.length;
    const lenses = selected.length ? selected : Array.from({ length: all }, (_, lens) => lens);
    const values = page.parameters.length ? page.parameters[at("parameter").value].values : [];
    const order = (lens) => (Number.isNaN(values[lens]) ? Infinity : (values[lens] ?? lens));
    const sorted = [...lenses].sort((a, b) => order(a) - order(b) || a - b);
    const shown = Math.min(sorted.length, GALLERY);
    const some = Array.from({ length: shown }, (_, i) => sorted[Math.floor((i * sorted.length) / shown)]);
    const buttons = some.map((lens) => {
      const made = element("button", "", page.side ? "" : page.names[lens]);
      if (page.side) made.append(picture(lens, 1));
      made.title = page.names[lens];
      for (const event of ["mouseenter", "focus"]) made.addEventListener(event, () => (show(lens), mark(lens)));
      return made;
    });
    at("gallery").replaceChildren(...buttons);
    at("count").textContent =
      (selected.length ? `${whole(selected.length)} of ${whole(all)} selected` : `All ${whole(all)} lenses`) +
      (shown < sorted.length ? `, ${shown} of them shown` : "");
    at("clear").hidden = !selected.length;
  }

  // Returns the share of lenses in each bin of a parameter; the first and last bins include all values beyond them.
  function shares(parameter, lenses) {
    const { edges, values } = parameter;
    const bins = edges.length - 1;
    const counts = new Array(bins).fill(0);
    let known = 0;
    for (const lens of lenses) {
      if (Number.isNaN(values[lens])) continue;
      const bin = Math.floor(((values[lens] - edges[0]) / (edges[bins] - edges[0])) * bins);
      counts[Math.min(Math.max(bin, 0), bins - 1)] += 1;
      known += 1;
    }
    return counts.map((count) => count / Math.max(known, 1));
  }

  function histograms() {
    page.parameters.forEach((parameter, number) => {
      const { data, change } = page.histograms[number];
      data.selected = shares(parameter, selected);
      change.emit();
      const difference = data.selected.reduce((sum, share, bin) => sum + Math.abs(share - data.all[bin]), 0);
      at(`histogram-${number}`).style.order = selected.length ? -Math.round(1000 * difference) : 0;
    });
  }

  function select(lenses) {
    selected = Array.from(lenses);
    gallery();
    histograms();
  }

  function start(given) {
    page = given;
    at("clear").addEventListener("click", () => (page.points.selected.indices = []));
    page.parameters.forEach((parameter, number) => {
      const option = element("option", "", parameter.label);
      option.value = number;
      at("parameter").append(option);
    });
    at("parameter")?.addEventListener("change", colour);
    if (page.parameters.length) colour();
    else gallery();
    document.body.dataset.ready = "yes";
  }

  return { start, hover, select };
})();
