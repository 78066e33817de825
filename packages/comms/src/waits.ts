// Waiting of one rank for others, with an end to each wait. Knows neither frames nor sockets.

export interface WaitsOptions {
  /** Longest wait. Only time in which this process could run is counted. */
  readonly timeoutMs: number;
  /** A wait has become long enough that the others should know. */
  onStuck(peer: number): void;
  /** A wait that was stuck has ended. */
  onFreed(peer: number): void;
  /** The first wait has begun, or the last one has ended. */
  onWaiting(isWaiting: boolean): void;
}

/** What a wait ends with when it ends badly. */
export interface WaitErrors {
  /** It has lasted too long. */
  late(): Error;
  /** The peer has left, and what is waited for will not come. */
  left(): Error;
}

interface Wait {
  readonly peer: number;
  readonly isOver: () => boolean;
  readonly errors: WaitErrors;
  readonly settle: (error?: Error) => void;
  waitedMs: number;
  isStuck: boolean;
}

const STUCK_AFTER_MS = 1000;

/**
 * All waits of one rank under one clock. A process that was suspended, or that was busy computing, does not count that time
 * against its peers: their frames may be here and only not yet read.
 */
export class Waits {
  private readonly options: WaitsOptions;
  private readonly active = new Set<Wait>();
  private readonly tickMs: number;
  private readonly stuckAfterMs: number;
  private readonly timer: NodeJS.Timeout;
  private lastTick = performance.now();
  private failure: Error | undefined;

  constructor(options: WaitsOptions) {
    this.options = options;
    this.tickMs = Math.min(250, Math.max(5, options.timeoutMs / 20));
    this.stuckAfterMs = Math.min(STUCK_AFTER_MS, options.timeoutMs / 4);
    this.timer = setInterval(() => this.tick(), this.tickMs).unref();
  }

  /** Resolves once `isOver()`, which is asked again at each `recheck(peer)`. */
  until(peer: number, isOver: () => boolean, errors: WaitErrors): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.failure !== undefined) {
        reject(this.failure);
        return;
      }
      const settle = (error?: Error) => {
        this.active.delete(wait);
        if (this.active.size === 0) {
          this.timer.unref();
          this.options.onWaiting(false);
        }
        if (wait.isStuck && error === undefined) this.options.onFreed(peer);
        if (error === undefined) resolve();
        else reject(error);
      };
      const wait: Wait = { peer, isOver, errors, settle, waitedMs: 0, isStuck: false };
      this.active.add(wait);
      this.timer.ref();
      if (this.active.size === 1) this.options.onWaiting(true);
    });
  }

  /** Something about this peer has changed. */
  recheck(peer: number): void {
    for (const wait of this.active) if (wait.peer === peer && wait.isOver()) wait.settle();
  }

  /** This peer will do nothing more. */
  leave(peer: number): void {
    for (const wait of this.active) {
      if (wait.peer === peer) wait.settle(wait.isOver() ? undefined : wait.errors.left());
    }
  }

  /** Ends all waits, the later ones too. */
  fail(error: Error): void {
    this.failure ??= error;
    clearInterval(this.timer);
    for (const wait of this.active) wait.settle(this.failure);
  }

  private tick(): void {
    const now = performance.now();
    const ranMs = Math.min(now - this.lastTick, 2 * this.tickMs);
    this.lastTick = now;
    for (const wait of this.active) {
      wait.waitedMs += ranMs;
      if (wait.waitedMs >= this.options.timeoutMs) wait.settle(wait.errors.late());
      else if (wait.waitedMs >= this.stuckAfterMs && !wait.isStuck) {
        wait.isStuck = true;
        this.options.onStuck(wait.peer);
      }
    }
  }
}

/**
 * Who is to blame when `waiter` has waited too long for `peer`: the end of the chain of ranks that are themselves stuck. In a
 * ring every rank waits for its neighbour, but only one of them is late.
 * @param stuckOn for each rank that is stuck, the rank it waits for
 * @returns the chain after `waiter`; its last rank waits for nobody, or, where the waits go in a circle, only `peer`
 */
export function followWaits(waiter: number, peer: number, stuckOn: ReadonlyMap<number, number>): number[] {
  const chain = [peer];
  for (let next = stuckOn.get(peer); next !== undefined; next = stuckOn.get(next)) {
    if (next === waiter || chain.includes(next)) return [peer];
    chain.push(next);
  }
  return chain;
}
