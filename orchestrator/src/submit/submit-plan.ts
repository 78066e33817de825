// From flags, site profile and run configuration to one plan of the job. Pure: what is not in its arguments it does not know.
import { checkValue } from '@slip/config';
import { SlipError } from '@slip/core';
import { SUBMIT_FLAGS, submitFlagsOf } from './submit-flags.js';
import { parseTimeLimit } from './time-limit.js';

export interface RestartLimits {
  readonly timeouts: number;
  readonly preemptions: number;
  readonly nodeFailures: number;
  readonly crashes: number;
}

/** Without a value a switch. */
export interface ExtraOption {
  readonly key: string;
  readonly value?: string;
}

export interface SubmitPlan {
  readonly jobName: string;
  /** Absolute; `%j` in it becomes the id of the job. */
  readonly runFolder: string;
  readonly workingFolder: string;
  readonly nodes: number;
  readonly workersPerNode: number;
  /** Of all workers of a node together. */
  readonly cpusPerNode: number;
  readonly gpuRequest: 'gres' | 'gpus-per-node' | 'none';
  readonly gpuType?: string;
  readonly memoryPerNode?: string;
  readonly timeLimitMinutes: number;
  readonly signalLeadSeconds: number;
  readonly partition?: string;
  readonly account?: string;
  readonly qos?: string;
  readonly constraint?: string;
  readonly exclude?: string;
  readonly nodelist?: string;
  readonly reservation?: string;
  readonly dependency?: string;
  readonly exclusive: boolean;
  readonly comment?: string;
  readonly setup: readonly string[];
  /** Words of shell in front of node, on every node. */
  readonly container?: string;
  /** Options of srun beyond these; absent in plans of before there were any. */
  readonly srun?: readonly ExtraOption[];
  /** Names of variables that the job takes over from the submitting shell. */
  readonly exported: readonly string[];
  /** Options of sbatch beyond these, in the order given; without a value a switch. */
  readonly extra: readonly ExtraOption[];
  readonly limits: RestartLimits;
  readonly task: string;
  /** For slip-launch, as `--name=value`. */
  readonly launchFlags: readonly string[];
  readonly taskFlags: readonly string[];
}

/** What a job sees of the submitting shell without being asked; the rest may be secrets, or wrong on another machine. */
const USUAL_VARIABLES = ['HOME', 'USER', 'LOGNAME', 'LANG', 'PATH'];

/** sbatch's own names for what has a flag here. */
const OWN_OPTIONS = [
  'nodes',
  'ntasks',
  'ntasks-per-node',
  'output',
  'error',
  'signal',
  'requeue',
  'no-requeue',
  'export',
  'cpus-per-task',
  'kill-on-bad-exit',
];

type Values = Readonly<Record<string, unknown>>;

/** The job's flags: the task's defaults, then the profile, then what was given. @throws SlipError `config` naming the flag */
export function resolveSubmitFlags(task: string, given: Values, profile: Values): Values {
  const values: Record<string, unknown> = {};
  for (const flag of submitFlagsOf(task)) {
    const raw = given[flag.name] ?? profile[flag.name] ?? flag.default;
    if (raw !== undefined) values[flag.name] = checkValue(flag, raw, `--${flag.name}`);
  }
  // Lists of a site come first: what a person adds may build on them.
  for (const name of ['setup', 'export', 'sbatch', 'srun'])
    values[name] = [...((profile[name] as string[]) ?? []), ...((given[name] as string[]) ?? [])];
  return values;
}

export interface PlanInput {
  /** As resolveSubmitFlags gives them. */
  readonly flags: Values;
  readonly task: string;
  /** Of the task, as `--name=value`. */
  readonly taskFlags: readonly string[];
  /** Absolute, perhaps with %j. */
  readonly runFolder: string;
  readonly workingFolder: string;
  readonly launchFlags: readonly string[];
}

/** @throws SlipError `config` naming the flag */
export function planSubmission(input: PlanInput): SubmitPlan {
  const { flags } = input;
  const texts = (name: string) => flags[name] as readonly string[];
  const number = (name: string) => flags[name] as number;
  const workersPerNode = number('ngpus');
  const memory = memoryPerNode(flags, workersPerNode);
  const timeLimitMinutes = flags.time === undefined ? number('timeout') : parseTimeLimit('time', String(flags.time));
  const signalLeadSeconds = number('signal-lead');
  if (signalLeadSeconds >= timeLimitMinutes * 60)
    throw new SlipError(
      'config',
      `--signal-lead ${signalLeadSeconds}: the job would be asked to save before it begins; its time limit is ${timeLimitMinutes} minutes`,
    );
  return {
    jobName: String(flags['job-name']),
    runFolder: input.runFolder,
    workingFolder: input.workingFolder,
    nodes: number('nodes'),
    workersPerNode,
    cpusPerNode: number('cpus-per-task') * workersPerNode,
    gpuRequest: flags['gpu-request'] as SubmitPlan['gpuRequest'],
    ...optional(flags, { gpuType: 'gpu-type' }),
    ...(memory === undefined ? {} : { memoryPerNode: memory }),
    timeLimitMinutes,
    signalLeadSeconds,
    ...optional(flags, { partition: 'partition', account: 'account', qos: 'qos', exclude: 'exclude' }),
    ...constraintOf(flags),
    ...optional(flags, { nodelist: 'nodelist', reservation: 'reservation', dependency: 'dependency' }),
    exclusive: flags.exclusive === true,
    ...optional(flags, { comment: 'comment' }),
    setup: texts('setup'),
    ...optional(flags, { container: 'container' }),
    srun: texts('srun').map((option) => readOption('srun', option)),
    exported: [...new Set([...USUAL_VARIABLES, ...texts('export').map(variableName)])],
    extra: texts('sbatch').map(readExtra),
    limits: {
      timeouts: number('max-timeouts'),
      preemptions: number('max-preemptions'),
      nodeFailures: number('max-node-failures'),
      crashes: number('max-crashes'),
    },
    task: input.task,
    launchFlags: input.launchFlags,
    taskFlags: input.taskFlags,
  };
}

/** Those of the flags that are given and not empty: the original's --comment '' means none. */
function optional<K extends string>(flags: Values, names: Readonly<Record<K, string>>): Partial<Record<K, string>> {
  const found = Object.entries<string>(names).filter(([, flag]) => flags[flag] !== undefined && flags[flag] !== '');
  return Object.fromEntries(found.map(([key, flag]) => [key, String(flags[flag])])) as Partial<Record<K, string>>;
}

function constraintOf(flags: Values): { constraint?: string } {
  const features = [flags.constraint, flags['use-volta32'] === true ? 'volta32gb' : undefined];
  const named = features.filter((feature) => feature !== undefined && feature !== '');
  return named.length === 0 ? {} : { constraint: named.join('&') };
}

function memoryPerNode(flags: Values, workers: number): string | undefined {
  if (flags.mem !== undefined) return readMemory('mem', String(flags.mem)).text;
  if (flags['mem-per-gpu'] === undefined) return undefined;
  const { amount, unit } = readMemory('mem-per-gpu', String(flags['mem-per-gpu']));
  return `${amount * workers}${unit}`;
}

function readMemory(flag: string, text: string): { text: string; amount: number; unit: string } {
  const match = /^(\d+)([KMGT]?)$/i.exec(text);
  if (match === null) throw new SlipError('config', `--${flag} ${text}: expected a size such as 320G`);
  return { text, amount: Number(match[1]), unit: match[2]!.toUpperCase() };
}

function variableName(text: string): string {
  if (/^[A-Za-z_]\w*$/.test(text)) return text;
  throw new SlipError(
    'config',
    `--export ${text}: expected the name of one variable; its value is taken from this shell`,
  );
}

function readExtra(text: string): ExtraOption {
  const option = readOption('sbatch', text);
  const own = SUBMIT_FLAGS.find((flag) => flag.name === option.key && flag.name !== 'exclusive');
  if (own !== undefined) throw new SlipError('config', `--sbatch ${text}: use --${option.key} of slip-submit`);
  return option;
}

function readOption(flag: 'sbatch' | 'srun', text: string): ExtraOption {
  const match = /^(?:--)?([a-z][a-z0-9-]*)(?:=(.*))?$/s.exec(text);
  if (match === null)
    throw new SlipError('config', `--${flag} ${text}: expected KEY=VALUE with a long option of ${flag}`);
  const [, key, value] = match;
  if (OWN_OPTIONS.includes(key!) && !(flag === 'sbatch' && key === 'cpus-per-task'))
    throw new SlipError('config', `--${flag} ${text}: slip-submit sets --${key} itself, because runs depend on it`);
  return value === undefined ? { key: key! } : { key: key!, value };
}
