// A discrete-event simulator: a clock, events in the order of their times, and things that serve one request per unit at a
// time. It knows no networks and no collectives.

interface Event {
  readonly at: number;
  /** Events of one time happen in the order in which they were asked for. */
  readonly order: number;
  readonly happen: () => void;
}

export class Simulator {
  /** Seconds since the start. */
  now = 0;
  /** Events that have happened. */
  events = 0;
  private readonly heap: Event[] = [];
  private asked = 0;

  /** Lets something happen `seconds` from now; at least 0. */
  after(seconds: number, happen: () => void): void {
    this.push({ at: this.now + seconds, order: this.asked++, happen });
  }

  /** Runs until nothing is left to happen. @returns the time of the last event, s */
  run(): number {
    for (let event = this.pop(); event !== undefined; event = this.pop()) {
      this.now = event.at;
      this.events += 1;
      event.happen();
    }
    return this.now;
  }

  private push(event: Event): void {
    let i = this.heap.length;
    this.heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (isBefore(this.heap[parent], event)) break;
      this.heap[i] = this.heap[parent];
      i = parent;
    }
    this.heap[i] = event;
  }

  private pop(): Event | undefined {
    const first = this.heap[0];
    const last = this.heap.pop();
    if (this.heap.length === 0 || last === undefined) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= this.heap.length) break;
      if (child + 1 < this.heap.length && isBefore(this.heap[child + 1], this.heap[child])) child += 1;
      if (isBefore(last, this.heap[child])) break;
      this.heap[i] = this.heap[child];
      i = child;
    }
    this.heap[i] = last;
    return first;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** So many units, each busy with one request at a time; who comes first is served first. */
export class Server {
  private readonly simulator: Simulator;
  private readonly waiting: ((release: () => void) => void)[] = [];
  private next = 0;
  private free: number;

  constructor(simulator: Simulator, units = 1) {
    this.simulator = simulator;
    this.free = units;
  }

  /** `begin` gets a unit, and keeps it until it calls `release`. */
  lock(begin: (release: () => void) => void): void {
    this.waiting.push(begin);
    this.serve();
  }

  /** A unit for `seconds`. */
  use(seconds: number, done: () => void): void {
    this.lock((release) =>
      this.simulator.after(seconds, () => {
        release();
        done();
      }),
    );
  }

  private serve(): void {
    while (this.free > 0 && this.next < this.waiting.length) {
      const begin = this.waiting[this.next++];
      if (this.next === this.waiting.length) {
        this.waiting.length = 0;
        this.next = 0;
      }
      this.free -= 1;
      begin(() => {
        this.free += 1;
        this.serve();
      });
    }
  }
}
