// Ctrl-K: where one can go, by a few letters. The server finds and names; this only moves the mark along what it answered.
"use strict";
(() => {
  const WAIT_MS = 120;
  const box = document.getElementById("palette"), field = document.getElementById("palette-text"), list = document.getElementById("palette-list");
  let asked = 0, due = 0;
  const options = () => [...list.querySelectorAll("[role=option]:not([aria-disabled])")];
  const marked = () => list.querySelector("[aria-selected=true]");
  function mark(option) {
    for (const one of options()) one.setAttribute("aria-selected", one === option ? "true" : "false");
    if (option) { field.setAttribute("aria-activedescendant", option.id); option.scrollIntoView({ block: "nearest" }); } else field.removeAttribute("aria-activedescendant");
  }
  async function find() {
    const number = ++asked;
    try {
      const response = await fetch(`${field.dataset.from}?${new URLSearchParams({ q: field.value })}`, { headers: { Accept: "text/html", "HX-Request": "true" }, signal: AbortSignal.timeout(10000) });
      if (!response.ok || response.redirected) throw new Error(`HTTP ${response.status}`);
      const inside = new DOMParser().parseFromString(await response.text(), "text/html").body;
      if (number !== asked) return; // a later question was answered, or will be
      list.replaceChildren(...[...inside.childNodes].map((node) => document.adoptNode(node)));
      mark(options()[0] ?? null);
    } catch {
      if (number === asked) list.replaceChildren(Object.assign(document.createElement("p"), { textContent: "Not found out: the server did not answer." }));
    }
  }
  function open() {
    if (box.open || document.querySelector("dialog[open]")) return;
    field.value = "";
    list.replaceChildren();
    box.showModal(); // closing it gives the focus back to what had it
    find();
  }
  function go(option) {
    if (!option) return;
    box.close();
    location.assign(option.dataset.href);
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") { event.preventDefault(); if (box.open) box.close(); else open(); }
  });
  for (const opener of document.querySelectorAll("[data-palette]")) opener.addEventListener("click", (event) => { event.preventDefault(); open(); });
  field.addEventListener("input", () => { clearTimeout(due); due = setTimeout(find, WAIT_MS); });
  field.addEventListener("keydown", (event) => {
    const all = options(), at = all.indexOf(marked());
    if (event.key === "Enter") { event.preventDefault(); clearTimeout(due); (event.isComposing ? null : go(marked())); return; }
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 }[event.key];
    if (to === undefined || !all.length) return;
    event.preventDefault();
    const single = event.key.startsWith("Arrow");
    mark(all[single ? (to + all.length) % all.length : Math.min(all.length - 1, Math.max(0, to))]);
  });
  list.addEventListener("click", (event) => go(event.target.closest("[role=option]:not([aria-disabled])")));
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
})();
