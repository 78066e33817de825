// Keeps two launches from training in one run folder at once, as far as one machine can see, and lets a job that was started
// again take the folder over from its earlier start. Not a lock for clusters.
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, SlipError } from '@slip/core';
import { LOOK_EVERY_MS } from './newer-attempt.js';
import { attemptFolder, claimAttempt, hasRecordedEnd, lastAttempt } from './run-store.js';

/** What names a process for good: its id alone may come again. */
export interface ProcessIdentity {
  readonly host: string;
  readonly pid: number;
  /** Start time as the kernel counts it; empty where it cannot be read. */
  readonly startedAt: string;
}

export async function thisProcess(): Promise<ProcessIdentity> {
  return { host: os.hostname(), pid: process.pid, startedAt: await startTime(process.pid) };
}

/**
 * Makes sure that nobody else is training in the run folder.
 * @returns the attempt that was claimed for it, where an earlier start of the same Slurm job had to be made to leave
 * @throws SlipError `config` when the launcher of the folder's last attempt is still running on this machine,
 * `rendezvous` when it is an earlier start of the same job and does not leave
 */
export async function enterRunFolder(
  runFolder: string,
  runId: string,
  log: Logger,
  leaveWithinMs = LEAVE_WITHIN_MS,
): Promise<number | undefined> {
  const attempt = await lastAttempt(runFolder);
  if (attempt === undefined) return undefined;
  const holder = await readHolder(path.join(attemptFolder(runFolder, attempt), 'coordinator.json'));
  const isHere = holder.host === os.hostname();
  if (isHere && !(await isAlive(holder))) return undefined;
  if (isEarlierStart(holder.runId, runId)) return takeOver(runFolder, attempt, holder, log, leaveWithinMs);
  if (!isHere) return undefined;
  throw new SlipError(
    'config',
    `the run folder ${runFolder} is in use by slip-launch with process id ${holder.pid}; stop that one or choose another --output-dir`,
  );
}

/** Job id and restart count, as batch scripts of slip-submit name a launch: `123.0` is an earlier start of `123.1`. */
export function isEarlierStart(held: string, own: string): boolean {
  const [earlier, later] = [held, own].map((id) => /^(\d+)\.(\d+)$/.exec(id));
  return earlier?.[1] !== undefined && earlier[1] === later?.[1] && Number(earlier[2]) < Number(later[2]);
}

/** Longer than a launcher takes to look, to kill its workers and to go. */
const LEAVE_WITHIN_MS = 30_000;

/** A new attempt in the folder is what makes the old one leave. Of another machine it is only known whether it said goodbye. */
async function takeOver(
  runFolder: string,
  attempt: number,
  holder: Holder,
  log: Logger,
  leaveWithinMs: number,
): Promise<number | undefined> {
  const isHere = holder.host === os.hostname();
  if (!isHere && (await hasRecordedEnd(runFolder))) return undefined;
  const claimed = await claimAttempt(runFolder);
  const where = isHere ? `process ${holder.pid}` : `on ${holder.host}`;
  log.warn(`attempt ${attempt} of this job (${where}) has not ended: attempt ${claimed} takes over once it has left`);
  if (!isHere) {
    await sleep(3 * LOOK_EVERY_MS);
    return claimed;
  }
  for (const end = performance.now() + leaveWithinMs; await isAlive(holder); await sleep(100))
    if (performance.now() > end)
      throw new SlipError(
        'rendezvous',
        `the run folder ${runFolder} is still in use by an earlier start of this job (process ${holder.pid}), which did not leave within ${leaveWithinMs / 1000} s`,
      );
  return claimed;
}

interface Holder extends ProcessIdentity {
  readonly runId: string;
}

async function isAlive({ pid, startedAt }: ProcessIdentity): Promise<boolean> {
  return startedAt !== '' && startedAt === (await startTime(pid));
}

async function readHolder(file: string): Promise<Holder> {
  try {
    const { host, pid, startedAt, runId } = JSON.parse(await readFile(file, 'utf8'));
    return { host: String(host), pid: Number(pid), startedAt: String(startedAt), runId: String(runId) };
  } catch {
    return { host: '', pid: 0, startedAt: '', runId: '' };
  }
}

/** Field 22 of /proc/<pid>/stat, counted after the command name, which may contain anything. */
async function startTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
