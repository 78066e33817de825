// The logs of all ranks as one: in the order of time, and what several ranks say at once as one line. Pure.

export interface RankLine {
  readonly rank: number;
  readonly line: string;
}

/** Lines of different ranks that are equal and this close together are one. */
const FOLD_MS = 2000;

interface Parsed {
  readonly rank: number;
  readonly timeMs: number;
  readonly time: string;
  /** Without the time and without who says it. */
  readonly text: string;
}

/** @param lines each rank's lines in their own order, ranks in any order */
export function mergeLogs(lines: readonly RankLine[]): string[] {
  const parsed = parseAll(lines);
  // A stable sort keeps lines of one rank, and those without a time of their own, where they were.
  parsed.sort((a, b) => a.timeMs - b.timeMs);
  const folded: { first: Parsed; ranks: number[] }[] = [];
  const open = new Map<string, { first: Parsed; ranks: number[] }>();
  for (const entry of parsed) {
    const same = open.get(entry.text);
    if (same !== undefined && entry.timeMs - same.first.timeMs <= FOLD_MS && !same.ranks.includes(entry.rank)) {
      same.ranks.push(entry.rank);
      continue;
    }
    const group = { first: entry, ranks: [entry.rank] };
    open.set(entry.text, group);
    folded.push(group);
  }
  return folded.map(
    ({ first, ranks }) => `${first.time === '' ? '' : `${first.time} `}[${nameRanks(ranks)}] ${first.text}`,
  );
}

/** `rank 3`, `ranks 0-2,5`. */
export function nameRanks(ranks: readonly number[]): string {
  const sorted = [...ranks].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    while (sorted[end + 1] === sorted[end]! + 1) end += 1;
    parts.push(end === i ? `${sorted[i]}` : `${sorted[i]}-${sorted[end]}`);
    i = end + 1;
  }
  return `${sorted.length === 1 ? 'rank' : 'ranks'} ${parts.join(',')}`;
}

function parseAll(lines: readonly RankLine[]): Parsed[] {
  const before = new Map<number, number>();
  return lines.map(({ rank, line }) => {
    const match = /^((\d\d):(\d\d):(\d\d)\.(\d{3})) (.*)$/s.exec(line);
    if (match === null) return { rank, timeMs: before.get(rank) ?? 0, time: '', text: line };
    const [hours, minutes, seconds, ms] = match.slice(2, 6).map(Number) as [number, number, number, number];
    let timeMs = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
    // Times have no date: one that falls back by half a day belongs to the next.
    const last = before.get(rank) ?? 0;
    while (timeMs < last - 43_200_000) timeMs += 86_400_000;
    before.set(rank, timeMs);
    return { rank, timeMs, time: match[1]!, text: match[6]!.replace(/\[rank \d+\] /, '') };
  });
}
