// What the browser says of itself.

/** The name by which the host and the others know this viewer. */
export function name(): string {
  const agent = navigator.userAgent;
  const find = (known: [RegExp, string][], other: string): string =>
    known.find(([pattern]) => pattern.test(agent))?.[1] ?? other;
  const browser = find([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"]], "browser");
  const system = find([[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]], "");
  return system ? `${browser} on ${system}` : browser;
}
