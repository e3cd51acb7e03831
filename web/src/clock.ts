/**
 * Milliseconds since the page began. The clock never goes back, and goes on while the computer sleeps, where the page's
 * own clock may stop.
 */
export class Clock {
  readonly #wall = Date.now();
  readonly #page = performance.now();
  #slept = 0;
  #last = 0;

  now(): number {
    const page = performance.now() - this.#page;
    const behind = Date.now() - this.#wall - page - this.#slept;
    // A wall clock that was set back, or a little forth, is no sleep.
    if (behind > 2000) this.#slept += behind;
    this.#last = Math.max(this.#last, page + this.#slept);
    return this.#last;
  }
}
