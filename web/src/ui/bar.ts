// The row above the screen: what the session is, what one may do, who is here, and the menu.

import type { Member, Role } from "../news.js";
import { h, icon, mark } from "./dom.js";

/** An entry of the menu. */
export interface Entry {
  words: string | (() => string);
  keys?: string;
  /** Whether an entry that switches something is on. */
  isOn?: () => boolean;
  isShown?: () => boolean;
  act: () => void;
}

export class Bar {
  readonly element: HTMLElement;
  readonly #title = h("span.title", {});
  readonly #role = h("span.badge", { hidden: true });
  readonly #path = h("span.path", { hidden: true });
  readonly #count = h("span", {});
  readonly #people: HTMLButtonElement;
  readonly #list = h("div.panel.people", { popover: "auto", role: "dialog", "aria-label": "Who is here" });
  readonly #menu = h("div.panel.menu", { popover: "auto", role: "menu", "aria-label": "Menu" });
  readonly #status = h("p.quiet", {});
  readonly #entries: Entry[];
  readonly #opened: () => void;

  /** `opened`: the menu opens, and shows the state of the connection as soon as it comes. */
  constructor(entries: Entry[], opened: () => void, closed: () => void) {
    this.#entries = entries;
    this.#opened = opened;
    this.#people = h(
      "button.icon-button",
      { type: "button", hidden: true, "aria-haspopup": "dialog", click: () => toggle(this.#list, this.#people) },
      icon("M6 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z", "M1.5 13.5c0-2.5 2-3.8 4.5-3.8s4.5 1.3 4.5 3.8", "M10.8 8.2a2.2 2.2 0 0 0 0-4.3", "M12.3 10.2c1.3.5 2.2 1.5 2.2 3.3"),
      this.#count,
    );
    const more = h(
      "button.icon-button",
      { type: "button", "aria-label": "Menu", "aria-haspopup": "menu", click: () => this.#openMenu(more) },
      icon("M3 4.5h10", "M3 8h10", "M3 11.5h10"),
    );
    this.element = h(
      "header.bar",
      {},
      h("span.mark", {}, mark(), h("span.name", {}, "beach")),
      this.#title,
      h("span.room", {}),
      this.#path,
      this.#role,
      this.#people,
      more,
      this.#list,
      this.#menu,
    );
    for (const panel of [this.#list, this.#menu]) {
      panel.addEventListener("toggle", (event) => {
        if ((event as ToggleEvent).newState === "closed") closed();
      });
    }
    this.#menu.addEventListener("keydown", (event) => this.#moveInMenu(event));
  }

  title(title: string): void {
    this.#title.textContent = title;
    this.#title.title = title;
  }

  role(role: Role | undefined): void {
    this.#role.hidden = role !== "view";
    this.#role.textContent = "watching";
    this.#role.title = "You can only watch";
  }

  path(way: string, text: string, isUp: boolean): void {
    this.#path.hidden = false;
    this.#path.dataset["state"] = isUp ? "up" : "down";
    this.#path.textContent = way;
    this.#path.title = text;
  }

  members(members: Member[], more: number, hostTypes: boolean): void {
    const count = members.length + more;
    this.#people.hidden = false;
    this.#count.textContent = String(count);
    const heading = count === 1 ? "1 viewer is here" : `${count} viewers are here`;
    this.#people.setAttribute("aria-label", heading);
    const types = hostTypes || members.some((member) => member.types && !member.you);
    this.#people.classList.toggle("types", types);
    const rows = members.map((member) =>
      h(
        "li",
        member.types ? { "data-types": "" } : {},
        h("span.person", {}, member.name, member.you ? h("span.quiet", {}, " (you)") : null),
        h("span.quiet", {}, (member.role === "control" ? "may type" : "may only watch") + (member.types ? ", types now" : "")),
      ),
    );
    const host = h("li", hostTypes ? { "data-types": "" } : {}, h("span.person", {}, "the host"), h("span.quiet", {}, hostTypes ? "types now" : ""));
    this.#list.replaceChildren(
      h("h2", {}, heading),
      h("ul", {}, host, ...rows),
      more > 0 ? h("p.quiet", {}, `and ${more} more`) : "",
    );
  }

  /** The session is over. */
  nobody(): void {
    this.#people.hidden = true;
    this.#list.hidePopover();
  }

  status(text: string): void {
    this.#status.textContent = text;
  }

  openPeople(): void {
    if (!this.#people.hidden) toggle(this.#list, this.#people);
  }

  #openMenu(button: HTMLElement): void {
    const entries = this.#entries.filter((entry) => entry.isShown?.() ?? true);
    const buttons = entries.map((entry) => {
      const on = entry.isOn?.();
      const attributes = on === undefined ? { role: "menuitem" } : { role: "menuitemcheckbox", "aria-checked": String(on) };
      const act = (): void => {
        this.#menu.hidePopover();
        entry.act();
      };
      const words = typeof entry.words === "string" ? entry.words : entry.words();
      return h("button", { type: "button", ...attributes, click: act }, h("span", {}, words), entry.keys ? h("kbd", {}, entry.keys) : null);
    });
    this.#menu.replaceChildren(...buttons, this.#status);
    this.#opened();
    toggle(this.#menu, button);
    buttons[0]?.focus();
  }

  #moveInMenu(event: KeyboardEvent): void {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const buttons = [...this.#menu.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
  }
}

/** Opens or closes a panel below a button, at its right edge. */
function toggle(panel: HTMLElement, button: HTMLElement): void {
  const place = button.getBoundingClientRect();
  panel.style.top = `${place.bottom + 6}px`;
  panel.style.right = `${Math.max(document.documentElement.clientWidth - place.right, 8)}px`;
  panel.togglePopover();
}
