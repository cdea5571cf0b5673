// What the server cannot do: ticking ages, the state of this very connection, cards by hover and focus, warmth of a change.
"use strict";
(() => {
  const SILENCE_MS = 4000; // the server speaks once a second
  const root = document.documentElement;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  let heard = 0, lostAt = 0, wanted = false;

  // Ages tick between the server's messages; each message says them anew.
  const span = (s) => (s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`);
  function tick() {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[data-rel]:not([data-rel=''])")) {
      const ms = time.dataset.rel === "ago" ? now - Date.parse(time.dateTime) : Date.parse(time.dateTime) - now;
      const age = span(Math.max(0, ms) / 1000);
      const text = time.dataset.rel === "ago" ? age : ms > 0 ? `in ${age}` : "due now";
      if (time.textContent !== text) time.textContent = text;
    }
    connection();
  }

  // This page's own connection; it says nothing about the data.
  function connection() {
    const node = document.getElementById("conn");
    if (!wanted || !node) return;
    const silent = heard ? Date.now() - heard : Date.now() - lostAt;
    const state = lostAt ? "lost" : !heard || silent < SILENCE_MS ? (heard ? "live" : "off") : "stale";
    const words = { live: "live", off: "connecting", lost: `${navigator.onLine ? "connection lost" : "this computer is offline,"} for ${span((Date.now() - lostAt) / 1000)}, retrying`, stale: `no word for ${span(silent / 1000)}` }[state];
    if (node.dataset.conn !== state) node.dataset.conn = state;
    const known = root.dataset.conn;
    root.dataset.conn = state === "stale" ? "lost" : state;
    if (known !== root.dataset.conn) acts();
    const text = document.getElementById("conn-words");
    if (text.textContent !== words) text.textContent = words;
  }
  const lose = () => { if (!lostAt) lostAt = Date.now(); connection(); };
  document.addEventListener("htmx:sse:after:connection", () => { wanted = true; heard = Date.now(); lostAt = 0; connection(); });
  document.addEventListener("htmx:sse:after:message", () => { heard = Date.now(); lostAt = 0; connection(); acts(); comeBack(); });
  document.addEventListener("htmx:sse:error", lose);
  document.addEventListener("htmx:sse:before:connection", (event) => { wanted = true; if (event.detail.connection.attempt > 0 && !document.hidden) lose(); });

  // The whole view again, in place: after a gap in what was told, or when nothing could be shown before.
  let asked = 0;
  function refresh() {
    if (Date.now() - asked < 900 || !window.htmx) return;
    asked = Date.now();
    window.htmx.ajax("GET", location.href, { target: "#view", select: "#view", swap: "outerMorph" });
  }
  document.addEventListener("reload", refresh);
  function comeBack() {
    const view = document.getElementById("view");
    if (view.dataset.lost && document.getElementById("head").dataset.trust === "fresh") refresh();
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-refresh]") && window.htmx) { event.preventDefault(); refresh(); }
  });
  document.addEventListener("htmx:response:error", () => {
    const alert = document.getElementById("alert");
    alert.textContent = "The last request was refused or failed; what is shown is from before.";
    alert.hidden = false;
  });
  document.addEventListener("htmx:after:swap", () => { if (heard) document.getElementById("alert").hidden = true; });

  // Acting needs current data.
  function acts() {
    const fresh = document.getElementById("head").dataset.trust === "fresh" && root.dataset.conn !== "lost";
    for (const button of document.querySelectorAll("[data-acts]")) {
      const disabled = !fresh || button.dataset.denied === "1";
      if (button.disabled !== disabled) button.disabled = disabled;
    }
    for (const why of document.querySelectorAll(".act-why")) {
      const text = why.dataset.why || (fresh ? "" : "Not while the data is not current.");
      if (why.textContent !== text) why.textContent = text;
    }
  }

  // A sheet is a page of its own; here it opens as a dialog over this one. Sending its form leaves this page.
  const sheetBox = document.getElementById("sheet-box");
  let opener = null;
  async function openSheet(address) {
    const response = await fetch(address, { headers: { Accept: "text/html" } });
    const sheet = new DOMParser().parseFromString(await response.text(), "text/html").getElementById("sheet");
    if (!sheet) { location.assign(address); return; }
    const known = sheetBox.open;
    sheetBox.replaceChildren(document.adoptNode(sheet));
    acts();
    if (!known) sheetBox.showModal();
    // What is to be read comes first where it does not fit the screen.
    const field = known || sheetBox.scrollHeight > sheetBox.clientHeight + 1 ? null : sheetBox.querySelector("[autofocus]:not(:disabled)");
    (field || sheetBox.querySelector("h1")).focus();
    if (!field) sheetBox.scrollTop = 0;
  }
  document.addEventListener("submit", (event) => {
    if (!event.submitter || !event.submitter.matches("[data-sheet]")) return;
    event.preventDefault();
    if (!sheetBox.open) opener = { action: event.target.getAttribute("action"), query: new URLSearchParams(new FormData(event.target)).toString() };
    const address = `${event.target.getAttribute("action")}?${new URLSearchParams(new FormData(event.target))}`;
    openSheet(address).catch(() => location.assign(address));
  });
  document.addEventListener("click", (event) => {
    if (sheetBox.open && (event.target === sheetBox || event.target.closest("[data-close]"))) { event.preventDefault(); sheetBox.close(); }
  });
  sheetBox.addEventListener("close", () => {
    sheetBox.replaceChildren();
    // The button may have been put there anew meanwhile.
    const same = [...document.querySelectorAll("form.opener")].find((form) => opener && form.getAttribute("action") === opener.action && new URLSearchParams(new FormData(form)).toString() === opener.query);
    same?.querySelector("button").focus();
  });

  // A command that has no answer yet is looked at again.
  setInterval(() => { if (document.querySelector("[data-open]") && heard && !lostAt) refresh(); }, 1500);

  // Cards: hover, focus, touch, Enter; Escape and a click elsewhere close them by themselves.
  const tipOf = (node) => node.closest?.(".tipped")?.querySelector(".tip");
  const isOpen = (tip) => tip.matches(":popover-open");
  let timer = 0, pinned = null;
  function show(holder) {
    const tip = holder.querySelector(".tip");
    if (isOpen(tip)) return;
    tip.showPopover({ source: holder.querySelector(".badge") });
    if (!CSS.supports("position-area: bottom")) {
      const box = holder.getBoundingClientRect();
      tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8))}px`;
      tip.style.top = `${box.bottom + tip.offsetHeight + 8 > innerHeight ? Math.max(8, box.top - tip.offsetHeight - 4) : box.bottom + 4}px`;
    }
  }
  document.addEventListener("pointerover", (event) => {
    const holder = event.target.closest?.(".tipped");
    if (event.pointerType !== "mouse") return;
    clearTimeout(timer);
    if (holder) timer = setTimeout(() => holder.isConnected && show(holder), 140);
    else timer = setTimeout(() => {
      const open = document.querySelector(".tip:popover-open");
      if (open && open !== pinned && !open.closest(".tipped").contains(document.activeElement)) open.hidePopover();
    }, 220);
  });
  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.(".badge") && event.target.matches(":focus-visible")) show(event.target.closest(".tipped"));
  });
  document.addEventListener("focusout", (event) => {
    const tip = tipOf(event.target);
    if (tip && isOpen(tip) && tip !== pinned && event.relatedTarget && tipOf(event.relatedTarget) !== tip) tip.hidePopover();
  });
  document.addEventListener("click", (event) => {
    const badge = event.target.closest?.(".badge");
    if (!badge) return;
    event.preventDefault();
    const tip = tipOf(badge);
    if (isOpen(tip) && pinned === tip) { pinned = null; tip.hidePopover(); } else { pinned = tip; show(badge.closest(".tipped")); }
  });
  document.addEventListener("toggle", (event) => { if (event.target === pinned && event.newState === "closed") pinned = null; }, true);

  // A changed cell warms and cools; a share is animated, not a colour, which would stay that of the theme in which it began.
  new MutationObserver((changes) => {
    if (still.matches) return;
    const cells = new Set(changes.map((change) => change.target).filter((node) => node.matches?.("td[data-v]")));
    for (const cell of cells) cell.animate([{ "--warmth": "100%" }, { "--warmth": "0%" }], { duration: 600, easing: "ease-out" });
  }).observe(document.body, { subtree: true, attributes: true, attributeFilter: ["data-v"] });

  document.addEventListener("keydown", (event) => {
    const field = document.getElementById("q");
    if (event.key === "/" && field && !event.target.closest("input, select, textarea")) { event.preventDefault(); field.focus(); field.select(); }
  });
  setInterval(tick, 1000);
  tick();
})();
