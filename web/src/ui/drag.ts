// A finger that moves over the terminal turns its wheel: xterm.js then scrolls, or tells the program, as it does for a mouse.

/** Below this a finger that moves is a tap, in pixels. */
const STILL = 6;

export function wheelByTouch(frame: HTMLElement): void {
  let last: { x: number; y: number } | undefined;
  let moved = 0;
  const end = (): void => {
    last = undefined;
    moved = 0;
  };
  frame.addEventListener(
    "touchstart",
    (event) => {
      const touch = event.touches.length === 1 ? event.touches[0] : undefined;
      last = touch && { x: touch.clientX, y: touch.clientY };
    },
    { passive: true },
  );
  frame.addEventListener(
    "touchmove",
    (event) => {
      const touch = event.touches[0];
      if (!last || !touch || event.touches.length !== 1) return;
      const down = touch.clientY - last.y;
      last = { x: touch.clientX, y: touch.clientY };
      moved += Math.abs(down);
      // Where the screen is larger than the window, the window moves over it first.
      const room = frame.scrollHeight - frame.clientHeight;
      const pans = room > 1 && (down > 0 ? frame.scrollTop > 0 : frame.scrollTop < room - 1);
      if (moved < STILL || pans) return;
      const screen = frame.querySelector(".xterm-screen");
      const { clientX, clientY } = touch;
      screen?.dispatchEvent(new WheelEvent("wheel", { deltaY: -down, clientX, clientY, bubbles: true, cancelable: true }));
    },
    { passive: true },
  );
  frame.addEventListener("touchend", end, { passive: true });
  frame.addEventListener("touchcancel", end, { passive: true });
}
