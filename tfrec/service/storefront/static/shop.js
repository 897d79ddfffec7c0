"use strict";

// Every form of the shop works as it is. With this file, those that are posted change the page in its place.

const page = () => document.getElementById("page");
const shown = (root) => new Map([...root.querySelectorAll("[data-shelf]")].map(
  (shelf) => [shelf.dataset.shelf, new Set(itemsOf(shelf).map((tile) => tile.dataset.item))]));
const itemsOf = (shelf) => [...shelf.querySelectorAll("[data-item]")];

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || !form.closest("main")) return;
  event.preventDefault();
  if (page().getAttribute("aria-busy")) return;
  page().setAttribute("aria-busy", "true");
  const body = new URLSearchParams(new FormData(form, event.submitter));
  try {
    const answer = await fetch(form.action, { method: "POST", body });
    show(await answer.text(), answer.url, event.submitter?.id);
  } catch {
    page().removeAttribute("aria-busy");
    say("The shop did not answer. Try again.");
  }
});

function show(text, address, pressed) {
  const next = new DOMParser().parseFromString(text, "text/html");
  const before = shown(document);
  const stays = new URL(address).pathname === location.pathname;
  const open = document.getElementById("panel")?.open;
  const main = next.getElementById("main");
  if (!main) throw new Error("no page of this shop");
  page().replaceWith(next.getElementById("page"));
  document.title = next.title;
  if (address !== location.href && !address.endsWith("/shop/act")) history.pushState(null, "", address);
  const panel = document.getElementById("panel");
  if (panel && open) panel.open = true;
  const fresh = stays ? mark(main, before) : 0;
  focusOn(pressed);
  const done = document.getElementById("done")?.innerText ?? main.querySelector("[role=alert]")?.innerText ?? "";
  say(fresh ? `${done} ${fresh} ${fresh === 1 ? "item is" : "items are"} new on the shelves.` : done);
}

function mark(main, before) {
  let fresh = 0;
  for (const shelf of main.querySelectorAll("[data-shelf]")) {
    const old = before.get(shelf.dataset.shelf);
    for (const tile of itemsOf(shelf).filter((one) => !old?.has(one.dataset.item))) {
      tile.classList.add("arrived");
      fresh += 1;
    }
  }
  return fresh;
}

function focusOn(pressed) {
  const button = pressed && document.getElementById(pressed);
  const target = button ?? document.getElementById("done") ?? document.getElementById("main");
  target.focus({ preventScroll: Boolean(button) });
}

function say(text) {
  document.getElementById("live").textContent = text.trim();
}

// A page that was put in the place of another has an address of its own; going back loads that one.
window.addEventListener("popstate", () => location.reload());
