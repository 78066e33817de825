// Of a trace of steps that `--profile` wrote: how much of them the engine computed, and where the rest went. Pure.

/** Of a Chrome trace; times in microseconds. */
export interface TraceEvent {
  readonly ph: string;
  readonly cat?: string;
  readonly ts?: number;
  readonly dur?: number;
}

export interface StepTimes {
  /** Of all steps together. */
  readonly stepMs: number;
  readonly engineMs: number;
  readonly byTrackMs: Readonly<Record<'data' | 'collectives' | 'optimizer', number>>;
}

/** @param events of one rank */
export function timeOutsideEngine(events: readonly TraceEvent[]): StepTimes {
  const steps = events.filter(({ cat }) => cat === 'step');
  const inSteps = (track: string): number =>
    events
      .filter(({ ph, cat, ts }) => ph === 'X' && cat === track && steps.some((step) => isWithin(ts!, step)))
      .reduce((sum, { dur }) => sum + dur! / 1000, 0);
  return {
    stepMs: steps.reduce((sum, { dur }) => sum + dur! / 1000, 0),
    engineMs: inSteps('engine'),
    byTrackMs: { data: inSteps('data'), collectives: inSteps('collectives'), optimizer: inSteps('optimizer') },
  };
}

function isWithin(ts: number, { ts: start, dur }: TraceEvent): boolean {
  return ts >= start! && ts < start! + dur!;
}
