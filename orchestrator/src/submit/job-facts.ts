// What Slurm says about a job, from the one line of `scontrol --oneliner show job`. Pure; works without accounting.

export interface JobFacts {
  readonly id: string;
  readonly name: string;
  /** RUNNING, PENDING, COMPLETING, CANCELLED, TIMEOUT and so on. */
  readonly state: string;
  readonly reason: string;
  readonly partition: string;
  readonly nodes: string;
  readonly restarts: number;
  readonly requeueAllowed: boolean;
  readonly exitCode: string;
  readonly startTime: Date | undefined;
  /** While it runs: when its time is up. */
  readonly endTime: Date | undefined;
  readonly preemptTime: Date | undefined;
  readonly timeLimit: string;
  readonly workingFolder: string;
  readonly output: string;
}

/** Undefined where the text is not about a job. */
export function parseJobFacts(line: string): JobFacts | undefined {
  const field = (name: string): string =>
    new RegExp(`(?:^|\\s)${name}=(.*?)(?=\\s+[A-Z][\\w/:]*=|\\s*$)`).exec(line)?.[1] ?? '';
  const id = field('JobId');
  if (!/^\d+$/.test(id)) return undefined;
  return {
    id,
    name: field('JobName'),
    state: field('JobState'),
    reason: field('Reason'),
    partition: field('Partition'),
    nodes: field('NodeList'),
    restarts: Number(field('Restarts')) || 0,
    requeueAllowed: field('Requeue') === '1',
    exitCode: field('ExitCode'),
    startTime: parseTime(field('StartTime')),
    endTime: parseTime(field('EndTime')),
    preemptTime: parseTime(field('PreemptTime')),
    timeLimit: field('TimeLimit'),
    workingFolder: field('WorkDir'),
    output: field('StdOut'),
  };
}

/** Slurm writes local time without a zone; Unknown, None and N/A are no time. */
function parseTime(text: string): Date | undefined {
  return /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(text) ? new Date(text) : undefined;
}
