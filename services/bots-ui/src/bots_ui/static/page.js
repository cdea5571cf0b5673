// What the server cannot do: ticking ages, the state of this very connection, cards by hover and focus, warmth of a change.
"use strict";
(() => {
  const SILENCE_MS = 4000; // the server speaks once a second
  const OLD_MS = 4000; // what is older than that says so
  const HERE_MS = 5000;
  const root = document.documentElement;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const put = (node, text) => { if (node && node.textContent !== text) node.textContent = text; };

  // The server's time, which each of its messages says, carried on by the steady clock of this machine; its wall clock may say anything.
  // A message is late, never early: of those of half a minute the one that was least late counts.
  const leads = [];
  function heardTime(ms) {
    const at = performance.now();
    leads.push({ at, lead: ms - at });
    while (at - leads[0].at > 30000) leads.shift();
  }
  const serverNow = () => performance.now() + Math.max(...leads.map((one) => one.lead));
  const clockWords = (ms) => new Date(ms).toISOString().slice(11, 19);
  heardTime(Date.parse(root.dataset.now));

  // Ages tick between the server's messages, and go on without any.
  const span = (s) => (s < 60 ? `${Math.floor(s)} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} d`);
  function tick() {
    const now = serverNow();
    moments();
    for (const time of document.querySelectorAll("time[data-rel]:not([data-rel=''])")) {
      const ms = time.dataset.rel === "ago" ? now - Date.parse(time.dateTime) : Date.parse(time.dateTime) - now;
      const age = span(Math.max(0, ms) / 1000);
      put(time, time.dataset.rel === "ago" ? age : ms > 0 ? `in ${age}` : "due now");
    }
    ages(now);
    connection();
    freshen();
  }

  // How old is what is shown: of the data, and of this page's list.
  function ages(now) {
    const data = document.querySelector("#fact-data time");
    const old = data && now - Date.parse(data.dateTime) > OLD_MS;
    const fact = document.getElementById("fact-data");
    if (fact.matches(".ok") && old) fact.classList.replace("ok", "warn");
    const stamp = document.getElementById("as-of");
    if (!stamp?.dataset.asOf) return;
    const ms = now - Date.parse(stamp.dataset.asOf);
    stamp.classList.toggle("warn-text", ms > OLD_MS);
    put(stamp.querySelector(".as-of-age"), ms > OLD_MS ? `, not confirmed for ${span(ms / 1000)}` : "");
  }

  // The planner's last and next look at every bot are the header's; a row is put there anew only when its own bot changes.
  function moments() {
    const { tick: number, tickAt, nextAt } = document.getElementById("head").dataset;
    for (const one of document.querySelectorAll(".last-tick")) {
      put(one.querySelector(".num"), number);
      if (tickAt) one.querySelector("time").dateTime = tickAt;
    }
    for (const time of document.querySelectorAll(".next-tick time")) if (nextAt) time.dateTime = nextAt;
  }

  // This page's own connection; it says nothing about the data.
  let heard = 0, heardAt = 0, lostAt = 0;
  const script = document.currentScript;
  const canListen = Boolean(window.htmx && (window.SharedWorker || window.Worker));
  function connection() {
    const node = document.getElementById("conn");
    if (!canListen || document.hidden || !node) return;
    const now = performance.now();
    const silent = heard ? now - heard : now - lostAt;
    const state = lostAt ? "lost" : !heard || silent < SILENCE_MS ? (heard ? "live" : "off") : "stale";
    const words = { live: "live", off: "connecting", lost: `${navigator.onLine ? "connection lost" : "this computer is offline,"} for ${span((now - lostAt) / 1000)}, retrying`, stale: `no word for ${span(silent / 1000)}` }[state];
    if (node.dataset.conn !== state) node.dataset.conn = state;
    const known = root.dataset.conn;
    root.dataset.conn = state === "stale" ? "lost" : state;
    if (known !== root.dataset.conn) acts();
    put(document.getElementById("conn-words"), words);
    const banner = document.getElementById("silence"), mute = state === "stale" || state === "lost";
    if (banner.hidden === mute) banner.hidden = !mute;
    if (!mute) return;
    const from = heardAt || Date.parse(root.dataset.now);
    put(document.getElementById("silence-words"), `Nothing is heard from the server of this page: everything shown is from ${clockWords(from)} UTC`);
    put(document.getElementById("silence-age"), `, ${span((serverNow() - from) / 1000)} ago`);
  }

  // How much needs a person, where a tab is seen from elsewhere.
  function needed() {
    const count = Number(document.getElementById("head").dataset.needed), words = count ? count.toLocaleString("en") : "";
    put(document.getElementById("n-needed"), words);
    const title = (words && `(${words}) `) + document.title.replace(/^\([\d,]+\) /, "");
    if (document.title !== title) document.title = title;
  }

  // What the server tells, in order; pages of this browser share its stream.
  let turn = Promise.resolve();
  async function take(told) {
    heard = performance.now();
    heardAt = told.now;
    lostAt = 0;
    heardTime(told.now);
    if (told.event === "reload") refresh();
    // A list that waits to be fetched again is not confirmed.
    else if (told.html && !(told.event === "as-of" && dirty)) {
      const live = document.getElementById("live");
      await window.htmx.swap({ text: told.html, sourceElement: live, target: live, swap: "none swapEmpty:false" });
    }
    connection();
    acts();
    needed();
    comeBack();
    document.dispatchEvent(new CustomEvent("autonomy:told", { detail: told }));
  }
  let port = null;
  if (canListen) {
    const worker = window.SharedWorker ? new SharedWorker(script.dataset.worker) : new Worker(script.dataset.worker);
    port = worker.port ?? worker;
    port.onmessage = (event) => {
      if (event.data.lost) { if (!lostAt) lostAt = performance.now(); connection(); return; }
      turn = turn.then(() => take(event.data)).catch((fault) => console.error(fault));
    };
  }
  // A page says what it shows for as long as it is seen; where it was rendered from is no reason to ask anew.
  function announce() {
    const address = document.hidden ? "" : document.querySelector("#list[data-live], #live").dataset.live;
    port?.postMessage({ live: address, key: address.split("&").filter((part) => !/^(rev|seen)=/.test(part)).join("&").replace(/[?](rev|seen)=[^&]*/, "?") });
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) { heard = 0; lostAt = 0; tick(); }
    announce();
  });
  window.addEventListener("pagehide", () => port?.postMessage({ live: "", key: "", bye: true }));
  window.addEventListener("pageshow", announce);
  setInterval(announce, HERE_MS);

  // The view again, in place: its list says something else, there was a gap in what was told, or nothing could be shown before.
  // It is asked for until it came.
  let dirty = false, fetching = false, asked = -Infinity;
  function refresh() { dirty = true; freshen(); }
  async function freshen() {
    if (!dirty || fetching || !window.htmx || performance.now() - asked < 900) return;
    asked = performance.now();
    fetching = true;
    dirty = false;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html", "HX-Request": "true" }, signal: AbortSignal.timeout(10000) });
      if (!response.ok || response.redirected) throw new Error(`HTTP ${response.status}`);
      const text = await response.text();
      // An answer that has nothing to show takes nothing away: what is there says how old it is.
      if (text.includes('<main id="view" data-lost="1"') && !document.getElementById("view").dataset.lost) throw new Error("nothing to show");
      const part = document.getElementById("list") ? "#list" : "#view", live = document.getElementById("live");
      await window.htmx.swap({ text, sourceElement: live, target: document.querySelector(part), select: part, swap: "outerMorph" });
    } catch {
      dirty = true;
      complain();
    } finally {
      fetching = false;
    }
  }
  function comeBack() {
    const view = document.getElementById("view");
    if (view.dataset.lost && document.getElementById("head").dataset.trust === "fresh") refresh();
  }
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-refresh]") && window.htmx) { event.preventDefault(); refresh(); }
  });
  function complain() {
    const alert = document.getElementById("alert");
    alert.textContent = "The last request was refused or failed; what is shown is from before.";
    alert.hidden = false;
  }
  document.addEventListener("htmx:response:error", complain);
  document.addEventListener("htmx:after:swap", () => {
    if (heard && !dirty) document.getElementById("alert").hidden = true;
    announce();
  });

  // Acting needs current data, and somebody who answers.
  function acts() {
    const cannot = root.dataset.conn === "lost" ? "Not available while nothing is heard from the server." : document.getElementById("head").dataset.cannot;
    for (const button of document.querySelectorAll("[data-acts]")) {
      const disabled = cannot !== "" || button.dataset.denied === "1";
      if (button.disabled !== disabled) button.disabled = disabled;
    }
    for (const why of document.querySelectorAll(".act-why")) {
      const text = why.dataset.why || cannot;
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
    // A revert opens on what the page shows now, which may have been filtered since the page was loaded.
    const shown = sheetBox.open || !document.querySelector("#view .filters") ? null : event.target.querySelector("[name=shown]");
    if (shown) shown.value = location.search.slice(1);
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
  // A card comes when it is opened, and again while it is open and its row changes; what has the focus in it keeps it.
  const CARD_MS = 400;
  const asking = new WeakMap();
  async function fill(tip) {
    const since = performance.now() - (asking.get(tip) ?? -Infinity);
    if (since < CARD_MS) { clearTimeout(tip.again); tip.again = setTimeout(() => isOpen(tip) && fill(tip), CARD_MS - since); return; }
    asking.set(tip, performance.now());
    try {
      const response = await fetch(tip.dataset.card, { headers: { Accept: "text/html", "HX-Request": "true" }, signal: AbortSignal.timeout(10000) });
      if (!response.ok || response.redirected) return;
      const inside = new DOMParser().parseFromString(await response.text(), "text/html").body;
      const held = tip.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      tip.replaceChildren(...[...inside.childNodes].map((node) => document.adoptNode(node)));
      if (held !== null) ([...tip.querySelectorAll("a")].find((link) => link.getAttribute("href") === held) ?? tip.querySelector("a"))?.focus();
      document.dispatchEvent(new Event("autonomy:card"));
    } catch { /* its link still leads there */ }
  }
  document.addEventListener("autonomy:told", (event) => {
    for (const tip of document.querySelectorAll(".tip:popover-open")) if (event.detail.html?.includes(`id="${tip.closest("tr")?.id}"`)) fill(tip);
  });
  function show(holder) {
    const tip = holder.querySelector(".tip");
    if (isOpen(tip)) return;
    fill(tip);
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

  // What is folded stays folded: the server keeps it, as the theme.
  document.addEventListener("toggle", (event) => {
    const fold = event.target;
    if (!fold.matches?.("details[data-keep]")) return;
    fetch(fold.dataset.keep, { method: "POST", body: new URLSearchParams({ fold: fold.open ? "open" : "shut" }), redirect: "manual" }).catch(() => null);
  }, true);

  document.addEventListener("keydown", (event) => {
    const field = document.getElementById("q");
    if (event.key === "/" && field && !event.target.closest("input, select, textarea")) { event.preventDefault(); field.focus(); field.select(); }
  });
  setInterval(tick, 1000);
  tick();
})();
