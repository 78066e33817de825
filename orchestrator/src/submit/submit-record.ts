// What slip-submit leaves in a run folder: `slurm/job-<id>.json` and `.sh` per submission, and its lines of events.jsonl.
import { mkdir, open, readdir, readFile, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import { appendEvent, type RunEvent } from '../launch/run-store.js';
import type { SubmitPlan } from './submit-plan.js';

export interface SubmissionRecord {
  readonly jobId: number;
  readonly via: 'sbatch' | 'rest';
  readonly submittedAt: string;
  readonly plan: SubmitPlan;
}

/**
 * Slurm does not create the folder of a job's output, and ends the job when it is missing.
 * @returns how to undo it, for a job that was refused: folders that were there before stay, and so does what is not empty
 */
export async function prepareRunFolder(runFolder: string): Promise<() => Promise<void>> {
  const folder = path.join(runFolder, 'slurm');
  try {
    const first = await mkdir(folder, { recursive: true });
    return async () => {
      for (let at = folder; first !== undefined && at.startsWith(first); at = path.dirname(at))
        await rmdir(at).catch(() => undefined);
    };
  } catch (error) {
    throw new SlipError(
      'data',
      `the run folder ${runFolder} cannot be made: ${(error as Error).message}; see --job-dir`,
      {
        cause: error,
      },
    );
  }
}

export async function recordSubmission(runFolder: string, record: SubmissionRecord, script: string): Promise<void> {
  const file = path.join(runFolder, 'slurm', `job-${record.jobId}`);
  await writeFileAtomic(`${file}.sh`, script, 0o755);
  await writeFileAtomic(`${file}.json`, `${JSON.stringify(record, null, 2)}\n`);
  await appendEvent(runFolder, { event: 'submitted', jobId: record.jobId, via: record.via });
}

/** Submissions of a run, oldest first. */
export async function readSubmissions(runFolder: string): Promise<SubmissionRecord[]> {
  const folder = path.join(runFolder, 'slurm');
  const names = (await readdir(folder).catch(() => [])).filter((name) => /^job-\d+\.json$/.test(name));
  const records = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(path.join(folder, name), 'utf8'))),
  );
  return records.sort((a, b) => a.submittedAt.localeCompare(b.submittedAt));
}

/** All events of a run; a line that is still being written is left out. */
export async function readEvents(runFolder: string): Promise<(RunEvent & { time: string })[]> {
  const text = await readFile(path.join(runFolder, 'events.jsonl'), 'utf8').catch(() => '');
  return text.split('\n').flatMap(parseRecord) as (RunEvent & { time: string })[];
}

/** Step of the newest checkpoint by its name alone: there may be seconds left. */
export async function newestCheckpointStep(runFolder: string): Promise<number> {
  const names = await readdir(path.join(runFolder, 'checkpoints')).catch(() => []);
  const steps = await Promise.all(
    names.map(async (name) => {
      const step = /^step-(\d+)$/.exec(name)?.[1];
      if (step === undefined) return 0;
      const files = await readdir(path.join(runFolder, 'checkpoints', name)).catch((): string[] => []);
      return files.includes('COMMIT') ? Number(step) : 0;
    }),
  );
  return Math.max(0, ...steps);
}

/** The last few step records of metrics.jsonl, oldest first; none where training has not begun. */
export async function newestStepRecords(runFolder: string): Promise<Record<string, unknown>[]> {
  const bytes = 65_536;
  const handle = await open(path.join(runFolder, 'metrics.jsonl'), 'r').catch(() => undefined);
  if (handle === undefined) return [];
  try {
    // The file of a long run is large, and only its end is wanted.
    const start = Math.max(0, (await handle.stat()).size - bytes);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, start);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    return lines.flatMap(parseRecord).filter(({ kind }) => kind === 'step');
  } finally {
    await handle.close();
  }
}

/** Nothing for half a line. */
function parseRecord(line: string): Record<string, unknown>[] {
  try {
    return [JSON.parse(line)];
  } catch {
    return [];
  }
}
