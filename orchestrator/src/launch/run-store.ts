// What a launcher writes into the run folder: numbered attempts, coordinator.json and the event log. Not checkpoints,
// metrics or the run configuration.
import { appendFile, mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';

export interface RunEvent {
  /** The first five are the coordinator's, the others those of slip-submit and its jobs. */
  event:
    | ('started' | 'restarted' | 'failed' | 'stopped' | 'finished')
    | ('submitted' | 'completed' | 'requeued' | 'resubmitted' | 'left' | 'gave-up' | 'cancelled');
  /** Names the launch, so that events of several launches of one run can be told apart. */
  launchId?: string;
  [fact: string]: unknown;
}

/** Appends one line to `events.jsonl`. */
export async function appendEvent(runFolder: string, event: RunEvent, now = new Date()): Promise<void> {
  await appendFile(path.join(runFolder, 'events.jsonl'), `${JSON.stringify({ time: now.toISOString(), ...event })}\n`);
}

/** Whether the newest launch in the event log has written how it ended; true where there was none. */
export async function hasRecordedEnd(runFolder: string): Promise<boolean> {
  const text = await readFile(path.join(runFolder, 'events.jsonl'), 'utf8').catch(() => '');
  const newest = [...text.matchAll(/"event":"(started|restarted|failed|stopped|finished)"/g)].at(-1)?.[1];
  return newest !== 'started' && newest !== 'restarted';
}

/**
 * Creates the first unused folder `attempts/<n>` and returns n.
 * @throws SlipError `data` when the run folder cannot be written
 */
export async function claimAttempt(runFolder: string): Promise<number> {
  const attempts = path.join(runFolder, 'attempts');
  try {
    await mkdir(attempts, { recursive: true });
    let attempt = ((await lastAttempt(runFolder)) ?? -1) + 1;
    while (!(await createFolder(path.join(attempts, String(attempt))))) attempt += 1;
    return attempt;
  } catch (error) {
    throw new SlipError('data', `cannot write the run folder ${runFolder}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** The largest number in use, undefined when there is none. */
export async function lastAttempt(runFolder: string): Promise<number | undefined> {
  const names = await readdir(path.join(runFolder, 'attempts')).catch(() => []);
  const used = names.map(Number).filter(Number.isInteger);
  return used.length === 0 ? undefined : Math.max(...used);
}

export function attemptFolder(runFolder: string, attempt: number): string {
  return path.join(runFolder, 'attempts', String(attempt));
}

/** Where the coordinator can be reached, for tools; readable by the owner only. */
export async function writeCoordinatorFile(folder: string, facts: Record<string, unknown>): Promise<void> {
  await writeFileAtomic(path.join(folder, 'coordinator.json'), `${JSON.stringify(facts, null, 2)}\n`, 0o600);
}

async function createFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
