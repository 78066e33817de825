// The last collectives of a rank, kept for the moment when something goes wrong. Recording is all it does.
import type { Call } from './collectives.js';
import { describeTag } from './mesh.js';

/** One call of a collective. */
export interface FlightRecord {
  readonly sequence: number;
  /** Operation, size, root: as in error messages. */
  readonly call: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  /** Undefined while it is under way. */
  ms: number | undefined;
  outcome: 'running' | 'done' | 'failed';
}

const KEPT = 64;

export class FlightRecorder {
  private readonly kept: FlightRecord[] = [];

  /** @returns the record, to be completed by `end` */
  start(call: Call): FlightRecord {
    const record: FlightRecord = {
      sequence: call.sequence,
      call: describeTag({ ...call, chunk: 0 }),
      startedAt: Date.now(),
      ms: undefined,
      outcome: 'running',
    };
    this.kept.push(record);
    if (this.kept.length > KEPT) this.kept.shift();
    return record;
  }

  end(record: FlightRecord, outcome: 'done' | 'failed'): void {
    record.ms = Date.now() - record.startedAt;
    record.outcome = outcome;
  }

  /** Oldest first. */
  get records(): readonly FlightRecord[] {
    return this.kept;
  }
}
