// Spans of time on named tracks, written as a Chrome trace (chrome://tracing, ui.perfetto.dev). Not what is measured.

/** Where a span is drawn, from top to bottom. */
export const TRACKS = [
  'step',
  'data',
  'engine',
  'kernels',
  'collectives',
  'optimizer',
  'checkpoint',
  'validation',
] as const;
export type Track = (typeof TRACKS)[number];

export interface Span {
  readonly track: Track;
  readonly name: string;
  /** On the clock of `performance.now()`. */
  readonly startMs: number;
  readonly endMs: number;
  /** Shown where the span is clicked. */
  readonly args?: Readonly<Record<string, string | number>>;
}

/** @param rank becomes the process of the trace, so that files of several ranks can be opened together */
export function chromeTrace(rank: number, spans: readonly Span[]): string {
  const common = { pid: rank, ph: 'M' };
  const events = [
    { ...common, name: 'process_name', args: { name: `rank ${rank}` } },
    ...TRACKS.map((name, tid) => ({ ...common, tid, name: 'thread_name', args: { name } })),
    ...TRACKS.map((_, tid) => ({ ...common, tid, name: 'thread_sort_index', args: { sort_index: tid } })),
    ...spans.map(({ track, name, startMs, endMs, args }) => ({
      ...{ ph: 'X', pid: rank, tid: TRACKS.indexOf(track), name, cat: track },
      ...{ ts: microseconds(startMs), dur: microseconds(endMs - startMs) },
      ...(args === undefined ? {} : { args }),
    })),
  ];
  return `{"displayTimeUnit":"ms","traceEvents":[\n${events.map((event) => JSON.stringify(event)).join(',\n')}\n]}\n`;
}

function microseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000);
}
