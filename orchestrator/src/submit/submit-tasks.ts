// The tasks that can be submitted: what each makes of its flags before it is queued. The job itself runs slip-launch with
// the same task. A new task of slip-launch gets an entry here.
import path from 'node:path';
import type { AnyConfig, TaskName } from '@slip/config';
import { BENCH_COMM_FLAGS } from '@slip/config/bench-comm';
import { FINETUNE_FLAGS, type FlagDefinition, LINEAR_FLAGS, PRETRAIN_FLAGS, USE_FLAGS } from '@slip/config/flags';
import { SlipError } from '@slip/core';
import { CLI_FLAGS } from '../cli/common-flags.js';
import { SUBMIT_FLAGS } from './submit-flags.js';

type Values = Readonly<Record<string, unknown>>;

export interface TaskRequest {
  /** Of the task, only those given. */
  readonly flags: Values;
  readonly recipe?: string;
  readonly launch: { readonly numNodes: number; readonly nprocPerNode: number };
  readonly cwd: string;
}

export interface SubmitTask {
  /** For slip-launch, as `--name=value`: everything but the run folder. */
  readonly taskFlags: readonly string[];
  /** Absolute; undefined when neither flags nor recipe name one. */
  readonly runFolder?: string;
  /** What has to be there on the nodes, with the flag that names it. */
  readonly files: readonly (readonly [flag: string, path: string])[];
  /** What is saved before a job leaves its nodes; 0 for a task without checkpoints. */
  readonly checkpointBytes: number;
  readonly notices: readonly string[];
  readonly warnings: readonly string[];
  /** What the task will do, for --dry-run. @throws SlipError `config` when it cannot do it */
  describe(runFolder: string): Promise<string>;
}

export interface TaskDefinition {
  readonly flags: readonly FlagDefinition[];
  /** @throws SlipError naming the flag */
  prepare(request: TaskRequest): Promise<SubmitTask>;
}

export const SUBMIT_TASKS: Readonly<Record<string, TaskDefinition>> = {
  pretrain: { flags: PRETRAIN_FLAGS, prepare: (request) => prepareTraining('pretrain', request) },
  linear: { flags: LINEAR_FLAGS, prepare: (request) => prepareTraining('linear', request) },
  finetune: { flags: FINETUNE_FLAGS, prepare: (request) => prepareTraining('finetune', request) },
  zeroshot: { flags: USE_FLAGS.zeroshot, prepare: prepareZeroShot },
  // Its table goes to the output of the job, whatever slip-submit itself prints.
  'bench-comm': { flags: BENCH_COMM_FLAGS.filter(({ name }) => name !== 'json'), prepare: prepareBenchComm },
};

/** Flags of a task that slip-submit does not have itself. */
export function ownFlags(task: string): readonly FlagDefinition[] {
  const taken = new Set([...CLI_FLAGS, ...SUBMIT_FLAGS].map(({ name }) => name));
  return SUBMIT_TASKS[task]!.flags.filter(({ name }) => !taken.has(name));
}

async function prepareTraining(task: TaskName, { flags, recipe, launch, cwd }: TaskRequest): Promise<SubmitTask> {
  const { checkpointBytes, commandLineOf, resolveTask } = await import('@slip/config');
  const { config, notices, warnings } = await resolveTask(task, {
    flags,
    ...(recipe === undefined ? {} : { recipe }),
    launch,
    cwd,
  });
  const runFolder = path.resolve(cwd, config.outputDir);
  return {
    taskFlags: commandLineOf(config),
    ...(runFolder === path.resolve(cwd) ? {} : { runFolder }),
    files: filesOf(config),
    checkpointBytes: checkpointBytes(config),
    notices,
    warnings,
    describe: async (outputDir) => {
      const { describeTask } = await import('../cli/describe-task.js');
      return describeTask({ ...config, outputDir });
    },
  };
}

function filesOf(config: AnyConfig): SubmitTask['files'] {
  if (config.task === undefined) {
    return [
      ['root', config.root],
      ['metadata', config.metadata],
      ['resume', config.resume],
    ];
  }
  return [
    ['data-path', config.dataPath],
    ['catalog', config.catalog],
    ['root', config.root],
    ['resume', config.resume],
  ];
}

async function prepareZeroShot({ flags, recipe, cwd }: TaskRequest): Promise<SubmitTask> {
  const { commandLineFrom, resolveUse } = await import('@slip/config');
  const { config } = await resolveUse('zeroshot', { flags, ...(recipe === undefined ? {} : { recipe }), cwd });
  if (config.task !== 'zeroshot') throw new SlipError('internal', `zeroshot was resolved as ${config.task}`);
  const { catalog, root, labels, templates, resume, outputDir } = config;
  return {
    taskFlags: commandLineFrom(USE_FLAGS.zeroshot, config),
    ...(flags['output-dir'] === undefined ? {} : { runFolder: path.resolve(cwd, outputDir) }),
    files: Object.entries({ catalog, root, labels, templates, ...(resume.includes('/') ? { resume } : {}) }),
    // What is done is written after each set.
    checkpointBytes: 0,
    notices: [],
    warnings: [],
    describe: async () => (await import('../cli/describe-task.js')).describeZeroShot(config),
  };
}

async function prepareBenchComm({ flags, recipe, cwd }: TaskRequest): Promise<SubmitTask> {
  const { resolveBenchComm } = await import('@slip/config');
  if (recipe !== undefined) throw new SlipError('config', '--recipe: bench-comm has no recipes');
  const { config } = resolveBenchComm(flags);
  const { outputDir } = config;
  return {
    taskFlags: Object.entries(flags).flatMap(([name, value]) => (name === 'output-dir' ? [] : [`--${name}=${value}`])),
    ...(outputDir === '' ? {} : { runFolder: path.resolve(cwd, outputDir) }),
    files: [],
    checkpointBytes: 0,
    notices: [],
    warnings: [],
    describe: async (runFolder) =>
      `bench-comm: ${config.op}, ${config.sizes.length} sizes from ${config.sizes[0]} bytes; logs in ${runFolder}`,
  };
}
