// Reading values whose shape changed between API versions: plain numbers or `{ set, infinite, number }`, texts or lists.
// Pure; nothing here throws, a value that is not there is undefined.

export type Answer = Readonly<Record<string, unknown>>;

export function isAnswer(value: unknown): value is Answer {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Entries of a list that are objects. */
export function readList(value: unknown): Answer[] {
  return Array.isArray(value) ? value.filter(isAnswer) : [];
}

/** `null` (up to v0.0.38) and `infinite` both read as Infinity where `nullMeans` says so. */
export function readNumber(value: unknown, nullMeans?: number): number | undefined {
  if (typeof value === 'number') return value;
  if (value === null) return nullMeans;
  if (!isAnswer(value)) return undefined;
  if (value.infinite === true) return Number.POSITIVE_INFINITY;
  return value.set === true && typeof value.number === 'number' ? value.number : undefined;
}

export function readText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A text, a comma-separated text or a list of texts, as a list. */
export function readTexts(value: unknown): string[] {
  if (Array.isArray(value)) return value.filter((item): item is string => typeof item === 'string');
  return typeof value === 'string' ? value.split(',').filter((part) => part !== '') : [];
}

/** Seconds since 1970; 0 and what is not set mean that it has not happened. */
export function readTime(value: unknown): Date | undefined {
  const seconds = readNumber(value);
  return seconds === undefined || seconds === 0 || !Number.isFinite(seconds) ? undefined : new Date(seconds * 1000);
}
