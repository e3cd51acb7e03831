// Where the time of a page's main thread goes: Chromium's sampling profiler, by the protocol of its developer tools.

/** The file of a function in a few words: of the page, of WebAssembly, or of the browser itself. */
function place({ url, functionName }) {
  if (url.startsWith("wasm:")) return "beach.wasm";
  if (url) return url.split("/").at(-1);
  // (program) is all that is no script: style, layout, paint, and other work of the browser.
  return functionName.startsWith("(") ? functionName : "the browser's functions";
}

/**
 * Profiles the page of a session of the developer tools while `run` runs. Returns how many milliseconds of the thread each file and each
 * function has taken itself, the largest first.
 */
export async function profiled(session, run) {
  await session.send("Profiler.enable");
  await session.send("Profiler.setSamplingInterval", { interval: 200 });
  await session.send("Profiler.start");
  await run();
  const { profile } = await session.send("Profiler.stop");
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]));
  const [files, functions] = [new Map(), new Map()];
  const add = (sums, name, time) => sums.set(name, (sums.get(name) ?? 0) + time);
  profile.samples.forEach((id, at) => {
    const frame = nodes.get(id);
    const time = (profile.timeDeltas[at] ?? 0) / 1000;
    const file = place(frame);
    add(files, file, time);
    if (frame.functionName !== "(idle)") add(functions, `${file} ${frame.functionName || "(anonymous)"}:${frame.lineNumber + 1}:${frame.columnNumber + 1}`, time);
  });
  const largest = (sums) => [...sums].sort(([, a], [, b]) => b - a);
  return { files: largest(files), functions: largest(functions) };
}

/** Prints a profile. */
export function tell(name, { files, functions }, functionsAtMost = 25) {
  const row = ([what, time]) => `  ${time.toFixed(1).padStart(9)} ms  ${what}`;
  console.log([`${name}: the main thread, by file`, ...files.map(row), "by function", ...functions.slice(0, functionsAtMost).map(row)].join("\n"));
}
