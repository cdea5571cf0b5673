// One cursor over all boxes of a chart: by pointer, by finger, and as a slider by keys. It says the row of the table that is nearest; without
// it the table says all of them.
"use strict";
(() => {
  const UNITS = 10000;
  const known = new WeakMap();
  function rowsOf(figure) {
    const table = figure.querySelector("[data-points]"), plot = figure.querySelector(".axes .plot");
    const from = Number(plot.dataset.from), to = Number(plot.dataset.to);
    const heads = [...table.tHead.rows[0].cells].slice(1).map((cell) => cell.textContent);
    const rows = [...table.tBodies[0].rows].map((row) => {
      const [bar, ...cells] = [...row.cells].map((cell) => cell.textContent);
      return { x: ((Date.parse(bar.includes(" ") ? `${bar.replace(" ", "T")}Z` : bar) - from) / (to - from)) * UNITS, words: `${bar} · ${cells.map((cell, place) => `${heads[place]} ${cell}`).join(" · ")}` };
    });
    return { table, rows };
  }
  function partsOf(figure) {
    let parts = known.get(figure);
    // A page that was fetched again has other rows in the same figure.
    if (!parts || !parts.line.isConnected || parts.table !== figure.querySelector("[data-points]") || parts.rows.length !== parts.table.tBodies[0].rows.length) {
      for (const old of figure.querySelectorAll(".at-cursor, .slide")) old.remove();
      const axes = figure.querySelector(".axes");
      const line = Object.assign(document.createElement("div"), { className: "at-cursor", hidden: true });
      const slide = Object.assign(document.createElement("input"), { className: "slide", type: "range", min: 0 });
      parts = { ...rowsOf(figure), line, slide, plot: axes.querySelector(".plot"), said: figure.querySelector("[data-cursor]") };
      slide.max = parts.rows.length - 1;
      slide.value = parts.rows.length - 1;
      slide.setAttribute("aria-label", "Cursor of the chart");
      slide.setAttribute("aria-valuetext", parts.rows.at(-1).words);
      axes.append(line);
      axes.after(slide);
      known.set(figure, parts);
    }
    return parts;
  }
  function show(parts, place) {
    const row = parts.rows[place];
    parts.line.style.left = `${parts.plot.getBoundingClientRect().left - parts.line.parentElement.getBoundingClientRect().left + (parts.plot.clientWidth * row.x) / UNITS}px`;
    parts.line.hidden = false;
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
  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.("[data-plot] .plot");
    if (!plot) return;
    const parts = partsOf(plot.closest("[data-plot]")), place = plot.getBoundingClientRect();
    show(parts, nearest(parts.rows, ((event.clientX - place.left) / place.width) * UNITS));
  });
  document.addEventListener("input", (event) => {
    if (event.target.matches(".slide")) show(partsOf(event.target.closest("[data-plot]")), Number(event.target.value));
  });
  const prepare = () => document.querySelectorAll("[data-plot]").forEach(partsOf);
  document.addEventListener("htmx:after:swap", prepare);
  prepare();
})();
