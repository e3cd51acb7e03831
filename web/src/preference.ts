// What a person has chosen, where the browser keeps it.

/** Whether a preference is on. Where the browser keeps nothing, it is off. */
export function isOn(name: string): boolean {
  try {
    return localStorage.getItem(name) === "on";
  } catch {
    return false;
  }
}

/** Keeps a preference; where the browser keeps nothing, the preference lasts for as long as the page is open. */
export function keep(name: string, on: boolean): void {
  try {
    localStorage.setItem(name, on ? "on" : "off");
  } catch {
    // As said.
  }
}
