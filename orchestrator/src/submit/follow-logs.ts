// `slip-submit logs`: reads the rank logs of a run's newest attempt, and with --follow goes on reading, over requeues too.
import { open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SlipError } from '@slip/core';
import { attemptFolder, lastAttempt } from '../launch/run-store.js';
import { mergeLogs, type RankLine } from './merged-logs.js';

export interface FollowOptions {
  readonly runFolder: string;
  /** Default: the newest. */
  readonly attempt?: number;
  readonly follow: boolean;
  /** Whether there may still come something. Asked between two looks. */
  readonly isOver: () => Promise<boolean>;
}

const LOOK_EVERY_MS = 1000;

/** @throws SlipError `data` where there is nothing to read, and nothing to wait for */
export async function followLogs(options: FollowOptions, print: (line: string) => void): Promise<void> {
  const read = new Map<string, number>();
  let shown: number | undefined;
  for (;;) {
    const over = !options.follow || (await options.isOver());
    const attempt = options.attempt ?? (await lastAttempt(options.runFolder));
    if (attempt !== undefined) {
      if (shown !== undefined && shown !== attempt)
        for (const line of await news(options, shown, read, true)) print(line);
      if (shown !== attempt) print(`== attempt ${attempt}`);
      shown = attempt;
      for (const line of await news(options, attempt, read, over)) print(line);
    }
    if (over) {
      if (shown === undefined)
        throw new SlipError('data', `${options.runFolder} has no attempt with logs yet; see slip-submit status`);
      return;
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** Whole lines written since the last look; at the end also one without its line break. */
async function news(
  options: FollowOptions,
  attempt: number,
  read: Map<string, number>,
  atEnd: boolean,
): Promise<string[]> {
  const folder = path.join(attemptFolder(options.runFolder, attempt), 'logs');
  const names = (await readdir(folder).catch((): string[] => [])).filter((name) => /^rank-\d+\.log$/.test(name)).sort();
  const lines: RankLine[] = [];
  for (const name of names) {
    const file = path.join(folder, name);
    const text = await readFrom(file, read.get(file) ?? 0);
    const end = atEnd ? text.length : text.lastIndexOf('\n') + 1;
    read.set(file, (read.get(file) ?? 0) + Buffer.byteLength(text.slice(0, end)));
    const rank = Number(/\d+/.exec(name)![0]);
    for (const line of text.slice(0, end).split('\n')) if (line.trim() !== '') lines.push({ rank, line });
  }
  return mergeLogs(lines);
}

async function readFrom(file: string, position: number): Promise<string> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return '';
  try {
    const { size } = await handle.stat();
    const bytes = Buffer.alloc(Math.max(0, size - position));
    await handle.read(bytes, 0, bytes.length, position);
    return bytes.toString('utf8');
  } finally {
    await handle.close();
  }
}
