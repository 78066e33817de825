// The kernels of a segment from ONNX Runtime's own profile, moved to the clock of the worker.
import { SlipError } from '@slip/core';
import type { Span } from './chrome-trace.js';

/** When a segment was run, ms on the clock of `performance.now()`. */
export interface SegmentRun {
  readonly segment: string;
  readonly startMs: number;
  readonly endMs: number;
}

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds since the session was made. */
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, unknown>>;
}

/**
 * @param profile the text that ONNX Runtime wrote for one segment
 * @param runs of that segment, in order, from its first on; runs of the profile beyond them are left out
 * @throws SlipError `internal` when the profile is not one
 */
export function kernelSpans(profile: string, runs: readonly SegmentRun[]): Span[] {
  const events = parse(profile);
  const starts = events.filter(({ name }) => name === 'model_run').sort((a, b) => a.ts - b.ts);
  return events.flatMap((event) => {
    const kernel = /^(.*)_kernel_time$/.exec(event.name);
    if (event.cat !== 'Node' || kernel === null) return [];
    const at = lastBefore(starts, event.ts);
    const run = runs[at];
    if (run === undefined) return [];
    const startMs = run.startMs + (event.ts - starts[at].ts) / 1000;
    const operator = String(event.args.op_name ?? kernel[1]);
    const args = { node: kernel[1], segment: run.segment, outputBytes: Number(event.args.output_size ?? 0) };
    return [{ track: 'kernels', name: operator, startMs, endMs: startMs + event.dur / 1000, args }];
  });
}

function parse(profile: string): ProfileEvent[] {
  try {
    return JSON.parse(profile) as ProfileEvent[];
  } catch (cause) {
    throw new SlipError('internal', "ONNX Runtime's profile is not JSON; was the disk full?", { cause });
  }
}

function lastBefore(starts: readonly ProfileEvent[], ts: number): number {
  let [low, high] = [0, starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle].ts <= ts) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
