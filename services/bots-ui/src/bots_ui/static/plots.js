// One cursor over all boxes of a chart: by pointer, by finger, and as a slider by keys. It says the row of the table that is nearest; without
// it the table says all of them.
"use strict";
(() => {
  const UNITS = 10000;
  const known = new WeakMap();
  function partsOf(figure) {
    const plot = figure.querySelector(".axes .plot"), table = figure.querySelector("[data-points]");
    const from = Number(plot.dataset.from), to = Number(plot.dataset.to);
    const heads = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows].map((row) => {
      const [bar, ...cells] = [...row.cells].map((cell) => cell.textContent);
      const at = Date.parse(bar.includes(" ") ? `${bar.replace(" ", "T")}Z` : bar);
      return { bar, x: ((at - from) / (to - from)) * UNITS, words: `${bar} · ${cells.map((cell, place) => `${heads[place]} ${cell}`).join(" · ")}` };
    });
    return { moment: figure.dataset.plot, rows, plot, line: plot.querySelector(".at-cursor"), slide: figure.querySelector(".slide"), said: figure.querySelector("[data-cursor]"), bar: null };
  }
  function show(parts, place) {
    const row = parts.rows[place];
    for (const end of ["x1", "x2"]) parts.line.setAttribute(end, `${row.x / 100}%`);
    parts.line.setAttribute("visibility", "visible");
    parts.bar = row.bar;
    parts.said.textContent = row.words;
    parts.slide.value = place;
    parts.slide.setAttribute("aria-valuetext", row.words);
  }
  function nearest(rows, x) {
    let low = 0, high = rows.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (rows[middle].x > x) high = middle; else low = middle;
    }
    return x - rows[low].x > rows[high].x - x ? high : low;
  }
  // A page that was fetched again has other rows in the same figure: the cursor stays at its bar.
  function prepare() {
    for (const figure of document.querySelectorAll("[data-plot]")) {
      const before = known.get(figure);
      if (before?.moment === figure.dataset.plot && before.line.isConnected) continue;
      const parts = partsOf(figure), last = parts.rows.length - 1;
      parts.slide.max = last;
      parts.slide.hidden = false;
      known.set(figure, parts);
      const place = before?.bar ? parts.rows.findIndex((row) => row.bar === before.bar) : -1;
      if (place >= 0) { show(parts, place); continue; }
      parts.line.setAttribute("visibility", "hidden");
      parts.slide.value = last;
      parts.slide.setAttribute("aria-valuetext", parts.rows[last].words);
    }
  }
  const partsAt = (node) => known.get(node.closest("[data-plot]"));
  for (const touch of ["pointermove", "pointerdown"]) {
    document.addEventListener(touch, (event) => {
      const plot = event.target.closest?.("[data-plot] .axes .plot"), parts = plot && partsAt(plot);
      if (!parts) return;
      const place = parts.plot.getBoundingClientRect();
      show(parts, nearest(parts.rows, ((event.clientX - place.left) / place.width) * UNITS));
    });
  }
  document.addEventListener("input", (event) => {
    const parts = event.target.matches("[data-plot] .slide") && partsAt(event.target);
    if (parts) show(parts, Number(event.target.value));
  });
  document.addEventListener("htmx:after:swap", prepare);
  prepare();
})();
