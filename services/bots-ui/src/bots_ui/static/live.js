// One stream for all visible pages of a browser: six connections a host are all there are, and a page that is not seen needs none.
// Runs as a shared worker, or as a page's own where there are no shared ones. Every page says what it shows; this asks for all of it.
"use strict";
(() => {
  const SILENCE_MS = 20000; // the server speaks once a second; a connection that is silent for so long is tried anew
  const GONE_MS = 20000; // a visible page says every five seconds that it is there
  const LONGEST = 6000; // characters of an address
  const pages = new Map();
  let streams = [], names = 0, due = 0, losses = 0;

  const tell = (word) => { for (const page of pages.values()) if (page.live) page.port.postMessage(word); };

  function addresses() {
    const found = [];
    let parts = [], length = 0, path = "";
    for (const page of pages.values()) {
      if (!page.live) continue;
      path = page.live.split("?")[0]; // the pages of one server have one
      const part = `view=${encodeURIComponent(`${page.name}.${page.live.split("?")[1] ?? ""}`)}`;
      if (parts.length && length + part.length > LONGEST) { found.push(parts); parts = []; length = 0; }
      parts.push(part);
      length += part.length;
    }
    if (parts.length) found.push(parts);
    return found.map((one) => `${path}?${one.join("&")}`);
  }

  function close() {
    clearTimeout(due);
    due = 0;
    for (const stream of streams) stream.close();
    streams = [];
  }

  function open() {
    close();
    streams = addresses().map((address) => {
      const stream = new EventSource(address);
      stream.heard = performance.now();
      stream.onmessage = (event) => {
        const told = JSON.parse(event.data);
        losses = 0;
        stream.heard = performance.now();
        for (const page of pages.values()) if (page.name === told.to) page.port.postMessage(told);
      };
      stream.onerror = () => { tell({ lost: true }); again(); };
      return stream;
    });
  }

  // Its own reconnecting stops for good at the first answer that is no stream, as of a proxy while the server starts.
  function again() {
    close();
    losses += 1;
    due = setTimeout(open, Math.min(3000, 300 * 2 ** Math.min(losses, 5)) * (0.8 + 0.4 * Math.random()));
  }

  // Pages that come and go together are one change.
  function soon() {
    clearTimeout(due);
    due = setTimeout(open, 30);
  }

  function join(port) {
    const page = { port, name: `p${(names += 1)}`, live: "", key: "", seen: performance.now() };
    pages.set(port, page);
    port.onmessage = (event) => {
      page.seen = performance.now();
      const { live, key, bye } = event.data;
      if (bye) pages.delete(port);
      page.live = live; // the newest address counts when the stream is opened again
      if (key === page.key && (bye || pages.has(port))) return;
      if (!bye) pages.set(port, page);
      page.key = key;
      soon();
    };
  }

  setInterval(() => {
    const now = performance.now();
    for (const [port, page] of pages) {
      if (!page.live || now - page.seen < GONE_MS) continue;
      pages.delete(port);
      page.key = "";
      soon();
    }
    if (streams.some((stream) => now - stream.heard > SILENCE_MS)) { tell({ lost: true }); again(); }
  }, 5000);

  if ("onconnect" in self) self.onconnect = (event) => join(event.ports[0]);
  else join(self);
})();
