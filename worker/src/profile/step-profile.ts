// Records some steps of a worker: what each part of a step takes, and every kernel. Nothing is recorded, and nothing costs time, outside
// of them.
import { mkdirSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { type Logger, writeFileAtomic } from '@slip/core';
import type { StepCollectives, StepExecutor } from '@slip/engine';
import { chromeTrace, type Span, type Track } from './chrome-trace.js';
import { kernelSpans, type SegmentRun } from './kernel-spans.js';

export interface StepProfileOptions {
  /** Gets one file a rank; parts of it are there until then. */
  readonly folder: string;
  readonly rank: number;
  /** Recorded after the first, which is slower than others. */
  readonly steps: number;
  readonly log: Logger;
}

export class StepProfile {
  readonly #options: StepProfileOptions;
  readonly #spans: Span[] = [];
  /** Of every run since the sessions were made, because their profiles begin there. */
  readonly #runs: SegmentRun[] = [];
  #stepsDone = 0;
  #startMs = 0;
  #isWritten = false;

  constructor(options: StepProfileOptions) {
    this.#options = options;
    // ONNX Runtime opens its files when the sessions are made.
    mkdirSync(options.folder, { recursive: true });
  }

  /** For the executor. */
  get kernelPrefix(): string {
    return path.join(this.#options.folder, `kernels-${this.#options.rank}`);
  }

  get isRecording(): boolean {
    return this.#stepsDone >= 1 && this.#stepsDone <= this.#options.steps;
  }

  async during<T>(track: Track, name: string, work: () => Promise<T>): Promise<T> {
    if (!this.isRecording) return work();
    const startMs = performance.now();
    try {
      return await work();
    } finally {
      this.#spans.push({ track, name, startMs, endMs: performance.now() });
    }
  }

  noteSegment(segment: string, startMs: number, endMs: number): void {
    if (this.#stepsDone > this.#options.steps) return;
    this.#runs.push({ segment, startMs, endMs });
    if (this.isRecording) this.#spans.push({ track: 'engine', name: segment, startMs, endMs });
  }

  /** After each step; the trace is written after the last of them. */
  async endStep(executors: readonly StepExecutor[]): Promise<void> {
    this.#stepsDone += 1;
    if (this.#stepsDone === 1) this.#startMs = performance.now();
    if (this.#stepsDone === this.#options.steps + 1) await this.end(executors);
  }

  /** Writes what was recorded, once; for a run that ends before that many steps too. */
  async end(executors: readonly StepExecutor[]): Promise<void> {
    if (this.#isWritten) return;
    this.#isWritten = true;
    for (const executor of executors) executor.endProfile?.();
    await this.#write();
  }

  async #write(): Promise<void> {
    const { folder, rank, log } = this.#options;
    const kernels: Span[] = [];
    for (const name of await readdir(folder)) {
      const segment = new RegExp(`^kernels-${rank}-(segment[\\d-]+)_`).exec(name)?.[1];
      if (segment === undefined) continue;
      const runs = this.#runs.filter((run) => run.segment === segment);
      kernels.push(...kernelSpans(await readFile(path.join(folder, name), 'utf8'), runs));
      await rm(path.join(folder, name));
    }
    const recorded = kernels.filter(({ startMs }) => startMs >= this.#startMs);
    const file = path.join(folder, `rank-${String(rank).padStart(5, '0')}.json`);
    await writeFileAtomic(file, chromeTrace(rank, [...this.#spans, ...recorded]));
    const steps = Math.min(this.#options.steps, this.#stepsDone - 1);
    log.info(`profile of ${steps} steps: ${file} (open it in chrome://tracing or ui.perfetto.dev)`);
  }
}

/** `work`, as part of a profile where there is one. */
export function profiled<T>(
  profile: StepProfile | undefined,
  track: Track,
  name: string,
  work: () => Promise<T>,
): Promise<T> {
  return profile === undefined ? work() : profile.during(track, name, work);
}

export function profiledCollectives(collectives: StepCollectives, profile: StepProfile | undefined): StepCollectives {
  if (profile === undefined) return collectives;
  const traced = (name: string, work: () => Promise<void>) => profile.during('collectives', name, work);
  return {
    allGather: (input, output, lengths) => traced('all-gather', () => collectives.allGather(input, output, lengths)),
    reduceScatter: (input, output, lengths) =>
      traced('reduce-scatter', () => collectives.reduceScatter(input, output, lengths)),
    allReduce: (buffer) => traced('all-reduce', () => collectives.allReduce(buffer)),
  };
}
