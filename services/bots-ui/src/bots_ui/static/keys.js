// Keys, and times by this computer's clock where that was chosen; the server knows neither.
"use strict";
(() => {
  const root = document.documentElement;
  const keys = document.getElementById("keys");
  const two = (number) => String(number).padStart(2, "0");

  // Where the row of pages is wider than the screen, the one that is open is in sight.
  document.querySelector(".bar [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });

  // One key opens what the keys are; it stands in the footer for whoever has none.
  const opener = document.querySelector("[data-keys]");
  if (opener) {
    opener.hidden = false;
    opener.addEventListener("click", () => keys.showModal());
  }

  // Copies what is written beside it, or what an address answers; without a clipboard (a page that is not of this machine and not
  // encrypted) the words are selected where they stand.
  async function copy(button) {
    const text = button.dataset.copy ?? await (await fetch(button.dataset.copyFrom)).text();
    const known = button.textContent;
    try {
      await navigator.clipboard.writeText(text.trim());
      button.textContent = button.dataset.copyFrom ? `copied ${text.trim() ? text.trim().split("\n").length : 0}` : "copied";
    } catch {
      getSelection().selectAllChildren(button.previousElementSibling ?? button);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = known; }, 1600);
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-copy], [data-copy-from]");
    if (button) copy(button).catch(() => { button.textContent = "not copied"; });
  });
  const offer = () => { for (const button of document.querySelectorAll("[data-copy][hidden], [data-copy-from][hidden]")) button.hidden = false; };
  document.addEventListener("htmx:after:swap", offer);
  offer();

  // Rows by j and k: the link of the row has the focus, so that Enter opens it and a reader hears it.
  function step(by) {
    const rows = [...document.querySelectorAll("[data-row], .plain tbody tr")].map((row) => row.querySelector("th a, h3 a, td a")).filter((link) => link?.checkVisibility());
    if (!rows.length) return;
    const row = document.activeElement.closest("[data-row], .plain tbody tr");
    const at = row ? rows.findIndex((link) => row.contains(link)) : -1;
    const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
    rows[next].focus();
    rows[next].closest("[data-row], tr").scrollIntoView({ block: "nearest" });
  }

  // In a queue a key presses the button of the row that has the focus; what is sent leaves the page, and the row that took its place
  // has the focus when one is back.
  const queue = () => [...document.querySelectorAll("[data-queue] [data-row]")];
  function press(key) {
    const row = document.activeElement.closest("[data-queue] [data-row]");
    const button = row?.querySelector(`[data-press="${key}"]:not(:disabled)`);
    if (!button) return false;
    sessionStorage.setItem("queue", String(queue().indexOf(row)));
    button.click();
    return true;
  }
  const place = sessionStorage.getItem("queue");
  const rows = queue();
  if (place !== null && rows.length && document.querySelector(".notice.done")) {
    rows[Math.min(Number(place), rows.length - 1)].querySelector("th a")?.focus();
  }
  if (place !== null && document.querySelector(".notice.done")) sessionStorage.removeItem("queue");

  let going = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest?.("input, select, textarea, dialog")) return;
    const key = event.key;
    if (going && performance.now() - going < 1500) {
      going = 0;
      const link = /^[a-z]$/.test(key) && document.querySelector(`nav [data-go="${key}"]`);
      if (link) { event.preventDefault(); link.click(); }
      return;
    }
    if (key === "g") going = performance.now();
    else if (key === "?") { event.preventDefault(); keys.showModal(); }
    else if (key === "j" || key === "k") { event.preventDefault(); step(key === "j" ? 1 : -1); }
    else if (/^[a-z]$/.test(key) && press(key)) event.preventDefault();
    else if (key === "[" || key === "]") document.querySelector(`[data-key="${key === "[" ? "previous" : "next"}"]`)?.click();
  });

  // Times by this computer's clock.
  if (root.dataset.clock !== "local") return;
  const zone = (date) => new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(date).find((part) => part.type === "timeZoneName").value;
  const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  function show() {
    for (const time of document.querySelectorAll("time[data-form]")) {
      const at = new Date(time.dateTime);
      const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
      put(time, time.dataset.form === "clock" ? clock : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock} ${zone(at)}`);
    }
    for (const name of document.querySelectorAll(".zone")) put(name, zone(new Date()));
  }
  for (const event of ["autonomy:told", "htmx:after:swap", "autonomy:card"]) document.addEventListener(event, show);
  setInterval(show, 1000);
  show();
})();
