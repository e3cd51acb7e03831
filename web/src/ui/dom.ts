// Elements, made without any text that is read as HTML.

type Child = Node | string | null | undefined;

interface Attributes {
  [name: string]: string | boolean | ((event: Event) => void) | undefined;
}

/** `h("button.quiet", { type: "button", click: … }, "Leave")`. Functions are listeners, `true` is an attribute without a value. */
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K | `${K}.${string}`,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag as K);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (typeof value === "string") element.setAttribute(key, value);
    else if (value === true) element.setAttribute(key, "");
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text in which backticks stand around commands. */
export function prose(text: string): Node[] {
  return text.split("`").map((part, at) => (at % 2 === 0 ? document.createTextNode(part) : h("code", {}, part)));
}

const SVG = "http://www.w3.org/2000/svg";

/** A line drawing of 16 × 16. */
export function icon(...paths: string[]): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** beach's mark: two waves. */
export function mark(): SVGElement {
  return icon("M1.5 6.2c2.2-2 4.3-2 6.5 0s4.3 2 6.5 0", "M1.5 10.6c2.2-2 4.3-2 6.5 0s4.3 2 6.5 0");
}
