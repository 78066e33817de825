// The lines that a worker writes into the pipe to its agent: the step it beats with, and what its progress bar shows. Pure.

/** One line of the pipe. */
export type WorkerLine =
  | { readonly kind: 'beat'; readonly step: number }
  /** `share` of the run that is done, 0 to 1. */
  | { readonly kind: 'progress'; readonly share: number; readonly text: string };

/** Longest text beside a bar; longer ones are cut. */
const LONGEST_TEXT = 200;

export function beatLine(step: number): string {
  return `${step}\n`;
}

/** At most 300 bytes, so that a pipe takes the line whole however many threads write to it. */
export function progressLine(share: number, text: string): string {
  // Whatever could steer a terminal or end the line is no part of it.
  return `bar ${share.toFixed(6)} ${text.replace(/[^\x20-\x7e]/g, '?').slice(0, LONGEST_TEXT)}\n`;
}

/** @returns undefined for a line that is neither */
export function parseWorkerLine(line: string): WorkerLine | undefined {
  const bar = /^bar ([01]\.\d{6}) ([\x20-\x7e]*)$/.exec(line);
  if (bar !== null)
    return { kind: 'progress', share: Math.min(1, Number(bar[1])), text: bar[2].slice(0, LONGEST_TEXT) };
  const step = Number(line);
  return /^\d{1,10}$/.test(line) && step < 2 ** 31 ? { kind: 'beat', step } : undefined;
}
