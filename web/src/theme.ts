import type { ITheme } from "@xterm/xterm";

const DARK: ITheme = {
  background: "#101216",
  foreground: "#d6d9de",
  cursor: "#e8eaed",
  cursorAccent: "#101216",
  selectionBackground: "#2f4a63",
  selectionInactiveBackground: "#2a3542",
  scrollbarSliderBackground: "#ffffff1a",
  scrollbarSliderHoverBackground: "#ffffff33",
  scrollbarSliderActiveBackground: "#ffffff4d",
  black: "#1b1f26",
  red: "#f0716b",
  green: "#7bc77e",
  yellow: "#dfb35f",
  blue: "#74a8f5",
  magenta: "#c792ea",
  cyan: "#62c6cf",
  white: "#d6d9de",
  brightBlack: "#6b7380",
  brightRed: "#ff8f89",
  brightGreen: "#98dd9b",
  brightYellow: "#f4cd80",
  brightBlue: "#97c0ff",
  brightMagenta: "#dcb1f7",
  brightCyan: "#86dfe6",
  brightWhite: "#ffffff",
};

const LIGHT: ITheme = {
  background: "#fbfbf9",
  foreground: "#24282e",
  cursor: "#24282e",
  cursorAccent: "#fbfbf9",
  selectionBackground: "#c9dff2",
  selectionInactiveBackground: "#e1e6ea",
  scrollbarSliderBackground: "#0000001a",
  scrollbarSliderHoverBackground: "#00000033",
  scrollbarSliderActiveBackground: "#0000004d",
  black: "#24282e",
  red: "#c0392f",
  green: "#2e7d3a",
  yellow: "#8d6708",
  blue: "#2463b8",
  magenta: "#8b3fb0",
  cyan: "#12757f",
  white: "#8a9099",
  brightBlack: "#5b626c",
  brightRed: "#d1493f",
  brightGreen: "#2f8b3d",
  brightYellow: "#9a7310",
  brightBlue: "#2f71cc",
  brightMagenta: "#9b4fc0",
  brightCyan: "#17828d",
  brightWhite: "#5b626c",
};

const light = matchMedia("(prefers-color-scheme: light)");

/** The colours of the terminal, as the person prefers. */
export function theme(): ITheme {
  return light.matches ? LIGHT : DARK;
}

/** Tells when the person prefers others. */
export function onTheme(change: () => void): void {
  light.addEventListener("change", change);
}
