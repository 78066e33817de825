// Which of a worker's output streams reach the terminal: torchrun's --redirects, --tee and --local-ranks-filter. Pure.
import { SlipError } from '@slip/core';

/** torchrun's numbers: 0 none, 1 stdout, 2 stderr, 3 both. */
export type StreamSet = 0 | 1 | 2 | 3;

/** One set for all local ranks, or one for each that is named. */
export type StreamMap = StreamSet | ReadonlyMap<number, StreamSet>;

export interface LogRouting {
  /** Streams that go to the log file only; undefined when not given. */
  readonly redirects?: StreamMap;
  /** Streams that go to the log file and, with a prefix, to the terminal; undefined when not given. */
  readonly tee?: StreamMap;
  /** Local ranks that may appear on the terminal; undefined for all. */
  readonly localRanks?: readonly number[];
}

export interface StreamRoute {
  readonly stdoutToTerminal: boolean;
  readonly stderrToTerminal: boolean;
  /** Whether lines on the terminal carry `[role rank]:`. */
  readonly prefixed: boolean;
}

/**
 * Every stream always goes to the rank's log file. On the terminal appears what is teed; with redirects also what these
 * leave out; with neither, rank 0 without a prefix.
 */
export function routeStreams(routing: LogRouting, rank: number, localRank: number): StreamRoute {
  const { redirects, tee, localRanks } = routing;
  const shown = localRanks === undefined || localRanks.includes(localRank);
  if (!shown) return { stdoutToTerminal: false, stderrToTerminal: false, prefixed: false };
  if (redirects === undefined && tee === undefined) {
    // A filter alone asks for these ranks, not for rank 0.
    const visible = localRanks === undefined ? rank === 0 : true;
    return { stdoutToTerminal: visible, stderrToTerminal: visible, prefixed: localRanks !== undefined };
  }
  const notRedirected = redirects === undefined ? 0 : 3 & ~streamsOf(redirects, localRank);
  const streams = notRedirected | streamsOf(tee ?? 0, localRank);
  return { stdoutToTerminal: (streams & 1) !== 0, stderrToTerminal: (streams & 2) !== 0, prefixed: true };
}

/**
 * Reads `3` or `0:1,1:2` (local rank : streams).
 * @throws SlipError `config`
 */
export function parseStreamMap(flag: string, text: string): StreamMap {
  if (/^[0-3]$/.test(text)) return Number(text) as StreamSet;
  const map = new Map<number, StreamSet>();
  for (const part of text.split(',')) {
    const match = /^(\d+):([0-3])$/.exec(part.trim());
    if (match === null)
      throw new SlipError(
        'config',
        `--${flag} ${text}: expected 0 (none), 1 (stdout), 2 (stderr), 3 (both) or a map such as 0:3,1:2`,
      );
    map.set(Number(match[1]), Number(match[2]) as StreamSet);
  }
  return map;
}

function streamsOf(map: StreamMap, localRank: number): StreamSet {
  return typeof map === 'number' ? map : (map.get(localRank) ?? 0);
}
