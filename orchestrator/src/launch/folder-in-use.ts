// Keeps two launches from training in one run folder at once, as far as one machine can see. Not a lock for clusters.
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { SlipError } from '@slip/core';
import { attemptFolder, lastAttempt } from './run-store.js';

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

/** @throws SlipError `config` when the launcher of the folder's last attempt is still running on this machine */
export async function refuseIfInUse(runFolder: string): Promise<void> {
  const attempt = await lastAttempt(runFolder);
  if (attempt === undefined) return;
  const file = path.join(attemptFolder(runFolder, attempt), 'coordinator.json');
  const { host, pid, startedAt } = await readIdentity(file);
  if (host !== os.hostname() || startedAt === '' || startedAt !== (await startTime(pid))) return;
  throw new SlipError(
    'config',
    `the run folder ${runFolder} is in use by slip-launch with process id ${pid}; stop that one or choose another --output-dir`,
  );
}

async function readIdentity(file: string): Promise<ProcessIdentity> {
  try {
    const { host, pid, startedAt } = JSON.parse(await readFile(file, 'utf8'));
    return { host: String(host), pid: Number(pid), startedAt: String(startedAt) };
  } catch {
    return { host: '', pid: 0, startedAt: '' };
  }
}

/** Field 22 of /proc/<pid>/stat, counted after the command name, which may contain anything. */
async function startTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
