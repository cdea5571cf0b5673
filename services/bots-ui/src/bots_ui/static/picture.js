// The picture of a stretch of time: a drag along it chooses the stretch to look at. Links and the form do the same without it.
"use strict";
(() => {
  const LEAST_PX = 6, LEAST_MS = 60000;
  const draggedOn = (event) => event.target.closest?.("svg.picture");
  const clock = (ms) => new Date(ms).toISOString().slice(11, 19);
  let drag = null, box = null, dropped = false;
  const timeAt = (x) => drag.from + ((drag.to - drag.from) * Math.min(Math.max(x - drag.left, 0), drag.width)) / drag.width;
  const ends = (x) => [timeAt(Math.min(drag.start, x)), timeAt(Math.max(drag.start, x))];
  function clear() {
    box?.remove();
    box = drag = null;
  }
  document.addEventListener("pointerdown", (event) => {
    const picture = draggedOn(event);
    dropped = false;
    if (!picture || event.button !== 0 || event.pointerType === "touch") return;
    const place = picture.getBoundingClientRect();
    drag = { start: event.clientX, left: place.left, width: place.width, top: place.top, height: place.height, from: Number(picture.dataset.from), to: Number(picture.dataset.to), by: picture.dataset.by };
  });
  document.addEventListener("dragstart", (event) => { if (draggedOn(event)) event.preventDefault(); });
  document.addEventListener("pointermove", (event) => {
    if (!drag || (!box && Math.abs(event.clientX - drag.start) < LEAST_PX)) return;
    if (!box) {
      box = document.createElement("div");
      box.className = "brush";
      document.body.append(box);
    }
    const left = Math.max(Math.min(drag.start, event.clientX), drag.left), right = Math.min(Math.max(drag.start, event.clientX), drag.left + drag.width);
    Object.assign(box.style, { left: `${left}px`, width: `${right - left}px`, top: `${drag.top}px`, height: `${drag.height}px` });
    const [from, to] = ends(event.clientX);
    box.textContent = `${clock(from)} – ${clock(to)}`;
    event.preventDefault();
  });
  document.addEventListener("pointerup", (event) => {
    if (box) {
      let [from, to] = ends(event.clientX);
      if (to - from < LEAST_MS) [from, to] = [(from + to - LEAST_MS) / 2, (from + to + LEAST_MS) / 2];
      const query = new URLSearchParams({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), by: drag.by });
      const page = document.querySelector("a[data-timeline]");
      dropped = true;
      location.assign(`${page ? page.getAttribute("href") : location.pathname}?${query}`);
    }
    clear();
  });
  // The end of a drag is no click on what happens to lie there.
  document.addEventListener("click", (event) => { if (dropped && draggedOn(event)) event.preventDefault(); }, true);
  document.addEventListener("pointercancel", clear);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });
})();
