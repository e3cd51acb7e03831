// The tab: its title, a mark when something happened unseen, and the question before it is closed.

/** The title of the session is somebody else's text: more of it would push the rest out of a tab. */
const MOST_TITLE = 80;

export class Tab {
  #title = "";
  #isMarked = false;
  #isLive = false;

  constructor(leave: () => void) {
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#mark(false);
    });
    addEventListener("beforeunload", (event) => {
      if (this.#isLive) event.preventDefault();
    });
    addEventListener("pagehide", leave);
  }

  get isHidden(): boolean {
    return document.visibilityState === "hidden";
  }

  title(title: string): void {
    this.#title = title.slice(0, MOST_TITLE);
    this.#draw();
  }

  /** Something happened; a hidden tab says so. */
  happened(): void {
    if (this.isHidden) this.#mark(true);
  }

  live(isLive: boolean): void {
    this.#isLive = isLive;
  }

  #mark(marked: boolean): void {
    if (marked === this.#isMarked) return;
    this.#isMarked = marked;
    this.#draw();
  }

  #draw(): void {
    const title = this.#title ? `${this.#title} · beach` : "beach";
    document.title = this.#isMarked ? `● ${title}` : title;
  }
}
