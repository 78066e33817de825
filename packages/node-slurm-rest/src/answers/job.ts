// A job as slurmrestd describes it, in one shape for all API versions. Pure.
import { type Answer, isAnswer, readNumber, readText, readTexts, readTime } from './values.js';

/** The states that exclude each other; what may come on top of them is in `stateFlags`. */
export const JOB_STATES = [
  'PENDING',
  'RUNNING',
  'SUSPENDED',
  'COMPLETED',
  'CANCELLED',
  'FAILED',
  'TIMEOUT',
  'NODE_FAIL',
  'PREEMPTED',
  'BOOT_FAIL',
  'DEADLINE',
  'OUT_OF_MEMORY',
] as const;

export type JobState = (typeof JOB_STATES)[number];

export interface Job {
  readonly id: number;
  readonly name: string;
  /** UNKNOWN where Slurm named none of the states, for example while a job is only COMPLETING. */
  readonly state: JobState | 'UNKNOWN';
  /** Such as COMPLETING, REQUEUED, CONFIGURING. */
  readonly stateFlags: readonly string[];
  /** Why it is pending or how it ended, in Slurm's word: Resources, Priority, NonZeroExitCode. */
  readonly reason: string;
  readonly user: string;
  readonly account: string;
  readonly qos: string;
  readonly partition: string;
  readonly comment: string;
  /** Slurm's list expression, `node[01-04]`; empty before the job runs. */
  readonly nodes: string;
  readonly nodeCount: number | undefined;
  readonly tasks: number | undefined;
  readonly batchHost: string;
  /** How often it was requeued. */
  readonly restartCount: number;
  readonly exitCode: number | undefined;
  /** Signal that ended it, by number. */
  readonly exitSignal: number | undefined;
  readonly submitTime: Date | undefined;
  readonly startTime: Date | undefined;
  readonly endTime: Date | undefined;
  readonly preemptTime: Date | undefined;
  /** Infinity for none. */
  readonly timeLimitMinutes: number | undefined;
  readonly workingDirectory: string;
  /** As submitted: %j and the like are not expanded. */
  readonly standardOutput: string;
  readonly standardError: string;
  readonly arrayJobId: number | undefined;
  readonly arrayTaskId: number | undefined;
  /** The answer as it came. */
  readonly raw: Answer;
}

export function readJob(raw: Answer): Job {
  const states = readTexts(raw.job_state);
  const state = states.find((name): name is JobState => (JOB_STATES as readonly string[]).includes(name));
  const arrayJobId = readNumber(raw.array_job_id);
  return {
    id: readNumber(raw.job_id) ?? 0,
    name: readText(raw.name),
    state: state ?? 'UNKNOWN',
    stateFlags: states.filter((name) => name !== state),
    reason: readText(raw.state_reason),
    user: readText(raw.user_name),
    account: readText(raw.account),
    qos: readText(raw.qos),
    partition: readText(raw.partition),
    comment: readText(raw.comment),
    nodes: readText(raw.nodes),
    nodeCount: readNumber(raw.node_count),
    tasks: readNumber(raw.tasks),
    batchHost: readText(raw.batch_host),
    restartCount: readNumber(raw.restart_cnt) ?? 0,
    ...readExit(raw.exit_code),
    submitTime: readTime(raw.submit_time),
    startTime: readTime(raw.start_time),
    endTime: readTime(raw.end_time),
    preemptTime: readTime(raw.preempt_time),
    timeLimitMinutes: readNumber(raw.time_limit, Number.POSITIVE_INFINITY),
    workingDirectory: readText(raw.current_working_directory),
    standardOutput: readText(raw.standard_output),
    standardError: readText(raw.standard_error),
    arrayJobId: arrayJobId === 0 ? undefined : arrayJobId,
    arrayTaskId: readNumber(raw.array_task_id),
    raw,
  };
}

/** Up to v0.0.39 the status of wait(2): code in the second byte, signal in the first. Later an object. */
function readExit(value: unknown): { exitCode: number | undefined; exitSignal: number | undefined } {
  if (typeof value === 'number') {
    const signal = value & 0x7f;
    return { exitCode: (value >> 8) & 0xff, exitSignal: signal === 0 ? undefined : signal };
  }
  if (!isAnswer(value)) return { exitCode: undefined, exitSignal: undefined };
  const signal = isAnswer(value.signal) ? readNumber(value.signal.id ?? value.signal.signal_id) : undefined;
  return { exitCode: readNumber(value.return_code), exitSignal: signal === 0 ? undefined : signal };
}
