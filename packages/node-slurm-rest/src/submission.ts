// A job to submit or a change to one, as the body that a version of the API understands. Pure.
import { versionNumber } from './api-version.js';
import { SlurmError } from './errors.js';
import type { components as Components42 } from './gen/v0.0.42.js';

/** A job as a live Slurm 24.11 describes it in v0.0.42. */
type Job42 = Unset<Components42['schemas']['job_desc_msg']>;
type Unset<T> = { [K in keyof T]: T[K] | undefined };

/** What every version can express, under names that say their units. */
export interface JobSubmission {
  /** The whole batch script. Its #SBATCH lines are ignored by slurmrestd. */
  readonly script: string;
  /** The job sees these variables and Slurm's own, nothing else; Slurm wants at least one. */
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly name?: string;
  readonly partition?: string;
  readonly account?: string;
  readonly qos?: string;
  readonly reservation?: string;
  readonly comment?: string;
  /** Features of nodes, as in `sbatch --constraint`. */
  readonly constraints?: string;
  readonly nodes?: number;
  readonly tasks?: number;
  readonly tasksPerNode?: number;
  readonly cpusPerTask?: number;
  /** A number, or with its type: `a100:4`. */
  readonly gpusPerNode?: number | string;
  readonly memoryPerNodeMb?: number;
  readonly timeLimitMinutes?: number;
  /** `%j` becomes the job's id. */
  readonly standardOutput?: string;
  readonly standardError?: string;
  readonly openMode?: 'append' | 'truncate';
  readonly requeue?: boolean;
  readonly exclusive?: boolean;
  readonly hold?: boolean;
  /** As in `sbatch --dependency`: `afterok:7`. */
  readonly dependency?: string;
  readonly killOnInvalidDependency?: boolean;
  readonly excludeNodes?: readonly string[];
  readonly requireNodes?: readonly string[];
  /** As in `sbatch --array`: `0-3%2`. */
  readonly array?: string;
  /** Sent ahead of the time limit: to the steps, or with `toBatchScript` to the script alone (v0.0.39 and later). */
  readonly signal?: { readonly name: string; readonly secondsBefore: number; readonly toBatchScript?: boolean };
  /** Properties of the API itself, added last. */
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** @throws SlurmError `unsupported-version` when the version cannot express the request, `invalid-request` when none could */
export function submissionBody(job: JobSubmission, version: string): Record<string, unknown> {
  const number = versionNumber(version);
  // Said in other words by each version: 2127 up to v0.0.38, an I/O error later.
  if (Object.keys(job.environment).length === 0)
    throw new SlurmError('invalid-request', 'environment: Slurm wants at least one variable, such as PATH');
  const shared = sharedProperties(job);
  const properties = number <= 38 ? { ...shared, ...until38(job) } : { ...shared, ...from39(job, number) };
  const described = { ...withoutUndefined(properties), ...job.extra };
  return number >= 41 ? { job: { ...described, script: job.script } } : { script: job.script, job: described };
}

/** Of the same shape in all versions. */
function sharedProperties(job: JobSubmission): Job42 {
  return {
    name: job.name,
    partition: job.partition,
    account: job.account,
    qos: job.qos,
    reservation: job.reservation,
    comment: job.comment,
    constraints: job.constraints,
    tasks: job.tasks,
    tasks_per_node: job.tasksPerNode,
    cpus_per_task: job.cpusPerTask,
    standard_output: job.standardOutput,
    standard_error: job.standardError,
    current_working_directory: job.workingDirectory,
    hold: job.hold === true ? true : undefined,
    dependency: job.dependency,
    array: job.array,
  };
}

function until38(job: JobSubmission): Record<string, unknown> {
  if (job.signal?.toBatchScript === true)
    throw new SlurmError(
      'unsupported-version',
      'a signal to the batch script alone needs API v0.0.39 or later (Slurm 23.02), or sbatch --signal=B:...',
    );
  return {
    nodes: job.nodes,
    memory_per_node: job.memoryPerNodeMb,
    time_limit: job.timeLimitMinutes,
    environment: job.environment,
    kill_on_invalid_dependency: job.killOnInvalidDependency,
    gres: job.gpusPerNode === undefined ? undefined : `gpu:${job.gpusPerNode}`,
    signal: job.signal === undefined ? undefined : `${job.signal.name}@${job.signal.secondsBefore}`,
    open_mode: job.openMode,
    // The key requeue means true whatever its value is.
    requeue: job.requeue === true ? true : undefined,
    no_requeue: job.requeue === false ? true : undefined,
    exclusive: job.exclusive === true ? 'exclusive' : undefined,
    exclude_nodes: job.excludeNodes,
    nodelist: job.requireNodes,
  };
}

/** v0.0.40 to v0.0.42 as a live Slurm 24.11 has them; v0.0.39 from documents. */
function from39(job: JobSubmission, version: number): Job42 & { exclusive?: 'exclusive' | undefined } {
  const gres = version === 39 ? 'gres:gpu' : 'gres/gpu';
  return {
    nodes: job.nodes === undefined ? undefined : String(job.nodes),
    memory_per_node: numberFor(version, job.memoryPerNodeMb),
    time_limit: numberFor(version, job.timeLimitMinutes),
    environment: Object.entries(job.environment).map(([name, value]) => `${name}=${value}`),
    tres_per_node: job.gpusPerNode === undefined ? undefined : `${gres}:${job.gpusPerNode}`,
    kill_warning_signal: job.signal?.name,
    kill_warning_delay: numberFor(version, job.signal?.secondsBefore),
    kill_warning_flags: job.signal?.toBatchScript === true ? ['BATCH_JOB'] : undefined,
    open_mode: job.openMode === undefined ? undefined : [job.openMode === 'append' ? 'APPEND' : 'TRUNCATE'],
    requeue: job.requeue,
    flags: killFlags(job.killOnInvalidDependency),
    shared: job.exclusive === true && version >= 40 ? ['none'] : undefined,
    exclusive: job.exclusive === true && version < 40 ? 'exclusive' : undefined,
    excluded_nodes: list(job.excludeNodes),
    required_nodes: list(job.requireNodes),
  };
}

function killFlags(kill: boolean | undefined): Job42['flags'] {
  return kill === undefined ? undefined : [kill ? 'KILL_INVALID_DEPENDENCY' : 'NO_KILL_INVALID_DEPENDENCY'];
}

function list(names: readonly string[] | undefined): string[] | undefined {
  return names === undefined ? undefined : [...names];
}

/** Numbers that may be unset are objects from v0.0.40 on. */
function numberFor(version: number, value: number | undefined): Job42['time_limit'] {
  if (value === undefined) return undefined;
  // Up to v0.0.39 a number is a number.
  return version < 40 ? (value as Job42['time_limit']) : { set: true, infinite: false, number: value };
}

/** What may be changed about a job that is queued; some of it about one that runs. */
export interface JobChange {
  readonly timeLimitMinutes?: number;
  readonly comment?: string;
  readonly priority?: number;
  readonly partition?: string;
  readonly nodes?: number;
  readonly hold?: boolean;
  readonly extra?: Readonly<Record<string, unknown>>;
}

export function changeBody(change: JobChange, version: string): Record<string, unknown> {
  const number = versionNumber(version);
  const isOld = number <= 38;
  const properties = {
    time_limit: numberFor(number, change.timeLimitMinutes),
    comment: change.comment,
    priority: isOld && change.priority !== undefined ? String(change.priority) : numberFor(number, change.priority),
    partition: change.partition,
    nodes: change.nodes === undefined || isOld ? change.nodes : String(change.nodes),
    hold: change.hold,
  };
  return { ...withoutUndefined(properties), ...change.extra };
}

function withoutUndefined(values: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}
