// Painting by a graphics card. A file of its own: without such a card the page does not load it, and with one it may come late.

export { WebglAddon } from "@xterm/addon-webgl";
