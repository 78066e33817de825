// Where the ranks of one machine meet: a page of shared memory in which each says how far it is, and waits for all others.
import { SlipError } from '@slip/core';
import type { Native } from './native.js';

/** What a rank is at; compared by all when they meet. */
export type Descriptor = readonly number[];
export const DESCRIPTOR_WORDS = 8;

/** Words between what different ranks write, so that they do not share a line of the cache. */
const LINE = 32;
const [COUNT, PHASE] = [0, LINE];
/** Within the line of a rank: the phase it has reached, then two descriptors in turns. */
const [REACHED, DESCRIPTORS] = [0, 2];

export function boardBytes(ranks: number): number {
  return (2 + ranks) * LINE * Int32Array.BYTES_PER_ELEMENT;
}

export interface BoardOptions {
  readonly native: Native;
  readonly memory: ArrayBuffer;
  readonly index: number;
  readonly ranks: number;
  /** Whether every rank has a core of its own, so that it may look again and again before it sleeps. */
  readonly maySpin: boolean;
  readonly timeoutMs: number;
  /** Why it is of no use to wait for these ranks any longer, if it is not. */
  readonly hopeless: (indices: readonly number[], what: string) => Error | undefined;
  /** Called with the waiting time, ms. */
  readonly onWaited: (ms: number) => void;
  /** Names ranks of the machine for people. */
  readonly late: (indices: readonly number[], what: string) => Error;
}

/**
 * How long to look before sleeping, and how long where the last wait was no longer than that. Waking up takes a few tenths of a
 * millisecond: without patience two ranks that have slept once keep each other waiting, and sleep every time.
 */
const [SPIN_MS, PATIENT_SPIN_MS] = [0.05, 1];
/** Longest sleep in one go: the event loop of this process stands still meanwhile. */
const SLEEP_MS = 2;

export class Board {
  private readonly options: BoardOptions;
  private readonly words: Int32Array;
  private readonly phaseWord: Int32Array;
  private phase = 0;
  private lastWaitMs = 0;
  private what = () => '';

  constructor(options: BoardOptions) {
    this.options = options;
    this.words = new Int32Array(options.memory, 0, boardBytes(options.ranks) / Int32Array.BYTES_PER_ELEMENT);
    this.phaseWord = this.words.subarray(PHASE, PHASE + 1);
  }

  /**
   * Waits until all ranks of the machine are here. What each wrote into shared memory before is visible to all afterwards.
   * @param what the operation, for people
   * @returns the first rank whose descriptor differs from the own one, with that descriptor
   * @throws the failure of the group, or that of being late
   */
  async meet(
    descriptor: Descriptor,
    what: () => string,
  ): Promise<{ index: number; descriptor: Descriptor } | undefined> {
    this.what = what;
    const { index, ranks } = this.options;
    const turn = this.phase % 2;
    this.words.set(descriptor, this.descriptorAt(index, turn));
    await this.pass();
    for (let other = 0; other < ranks; other++) {
      const at = this.descriptorAt(other, turn);
      for (let word = 0; word < descriptor.length; word++) {
        if (this.words[at + word] === descriptor[word]) continue;
        return { index: other, descriptor: [...this.words.subarray(at, at + DESCRIPTOR_WORDS)] };
      }
    }
    return undefined;
  }

  /** Like `meet`, within an operation that all are known to be at. */
  async pass(): Promise<void> {
    const { index, ranks, native } = this.options;
    const next = (this.phase + 1) | 0;
    Atomics.store(this.words, this.lineOf(index) + REACHED, next);
    if (Atomics.add(this.words, COUNT, 1) === ranks - 1) {
      Atomics.store(this.words, COUNT, 0);
      Atomics.store(this.words, PHASE, next);
      native.wake(this.phaseWord);
    } else {
      const startedAt = performance.now();
      if (!this.spin(next, startedAt)) await this.sleep(next);
      this.lastWaitMs = performance.now() - startedAt;
    }
    this.phase = next;
  }

  private spin(next: number, startedAt: number): boolean {
    if (!this.options.maySpin) return Atomics.load(this.words, PHASE) === next;
    const until = startedAt + (this.lastWaitMs <= PATIENT_SPIN_MS ? PATIENT_SPIN_MS : SPIN_MS);
    do {
      for (let i = 0; i < 200; i++) if (Atomics.load(this.words, PHASE) === next) return true;
    } while (performance.now() < until);
    return false;
  }

  private async sleep(next: number): Promise<void> {
    const { native, hopeless, timeoutMs, onWaited, late } = this.options;
    const startedAt = performance.now();
    let last = startedAt;
    let waitedMs = 0;
    try {
      for (;;) {
        native.wait(this.phaseWord, this.phase, SLEEP_MS);
        if (Atomics.load(this.words, PHASE) === next) return;
        // Messages of other ranks are read here, that of a failure among them.
        await new Promise<void>((resolve) => setImmediate(resolve));
        if (Atomics.load(this.words, PHASE) === next) return;
        const reason = hopeless(this.missing(next), this.what());
        if (reason !== undefined) throw reason;
        const now = performance.now();
        // Time in which this process was suspended or busy does not count against the others.
        waitedMs += Math.min(now - last, 10 * SLEEP_MS);
        last = now;
        if (waitedMs >= timeoutMs) throw late(this.missing(next), this.what());
      }
    } finally {
      onWaited(performance.now() - startedAt);
    }
  }

  /** Ranks that have not reached this phase. */
  private missing(phase: number): number[] {
    const all = Array.from({ length: this.options.ranks }, (_, index) => index);
    return all.filter((index) => Atomics.load(this.words, this.lineOf(index) + REACHED) !== phase);
  }

  private lineOf(index: number): number {
    return (2 + index) * LINE;
  }

  private descriptorAt(index: number, turn: number): number {
    return this.lineOf(index) + DESCRIPTORS + turn * DESCRIPTOR_WORDS;
  }
}

/** @throws RangeError when there are more numbers than a board has words for */
export function descriptorOf(...numbers: number[]): Descriptor {
  if (numbers.length > DESCRIPTOR_WORDS) throw new SlipError('internal', `${numbers.length} numbers in a descriptor`);
  return Array.from({ length: DESCRIPTOR_WORDS }, (_, i) => (numbers[i] ?? 0) | 0);
}
