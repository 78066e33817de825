// Ratios that were once measured, and whether those of today fall behind them. Ratios, not times: they outlast the machine's moods. Pure.
import type { CaseResult } from './harness.js';

export interface Baseline {
  /** What is known of each entry, by `keyOf`. */
  readonly ratios: Readonly<
    Record<string, { readonly ratio: number; readonly date: string; readonly machine: string }>
  >;
}

/** Less than this part lost is noise. */
export const TOLERANCE = 0.15;

export interface Comparison {
  readonly key: string;
  readonly was: number | undefined;
  readonly is: number;
  readonly verdict: 'same' | 'ahead' | 'behind' | 'new';
}

export function keyOf({ bench, name, measure, peer }: CaseResult): string {
  return `${bench} | ${name} | ${measure.key} | ${peer}`;
}

/** One line for each measured ratio; what was not measured today is not compared. */
export function compareWithBaseline(results: readonly CaseResult[], baseline: Baseline): Comparison[] {
  return results.flatMap((result) => {
    const { ratio: is } = result;
    if (is === undefined) return [];
    const key = keyOf(result);
    const was = baseline.ratios[key]?.ratio;
    return [{ key, was, is, verdict: was === undefined ? 'new' : verdictOf(is / was) }];
  });
}

function verdictOf(change: number): Comparison['verdict'] {
  if (change < 1 - TOLERANCE) return 'behind';
  return change > 1 / (1 - TOLERANCE) ? 'ahead' : 'same';
}

/** The baseline with today's ratios in the place of older ones. */
export function updateBaseline(
  baseline: Baseline,
  results: readonly CaseResult[],
  { date, machine }: { readonly date: string; readonly machine: string },
): Baseline {
  const measured = results.flatMap((result) =>
    result.ratio === undefined
      ? []
      : [[keyOf(result), { ratio: Number(result.ratio.toFixed(3)), date, machine }] as const],
  );
  const all = { ...baseline.ratios, ...Object.fromEntries(measured) };
  return { ratios: Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))) };
}

export function describeComparison(lines: readonly Comparison[]): string {
  const text = (value: number | undefined) => (value === undefined ? '-' : `${value.toFixed(2)}x`);
  return lines
    .map(({ key, was, is, verdict }) => `${verdict.padEnd(6)}  ${text(was)} -> ${text(is)}  ${key}`)
    .join('\n');
}
