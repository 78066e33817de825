// How long a peer has been silent, not counting time in which we ourselves were suspended. Pure: the clock is given.

/**
 * Counts silence by regular checks. When two checks are much further apart than they should be, the observer itself was
 * stopped (Ctrl-Z, a sleeping laptop, a frozen virtual machine); such a gap says nothing about the peer.
 */
export class SilenceWatch {
  private readonly checkEveryMs: number;
  private silenceMs = 0;
  private lastCheckMs: number;

  /** @param checkEveryMs the intended time between two calls of `check` */
  constructor(checkEveryMs: number, nowMs: number) {
    this.checkEveryMs = checkEveryMs;
    this.lastCheckMs = nowMs;
  }

  heard(): void {
    this.silenceMs = 0;
  }

  /** Milliseconds of silence as far as we were there to listen. */
  check(nowMs: number): number {
    this.silenceMs += creditedGapMs(nowMs - this.lastCheckMs, this.checkEveryMs);
    this.lastCheckMs = nowMs;
    return this.silenceMs;
  }
}

/** The part of a gap between two checks that counts: at most four intended intervals. */
export function creditedGapMs(gapMs: number, checkEveryMs: number): number {
  return Math.max(0, Math.min(gapMs, 4 * checkEveryMs));
}
