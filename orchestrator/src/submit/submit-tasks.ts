// What a task makes of its flags before it is queued. Every task of slip-launch can be submitted: those that train are resolved here,
// so that the script holds what recipe and flags amount to; any other is looked over by slip-launch itself, and goes as typed.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { configKey, type FlagDefinition } from '@slip/config/flags';
import { ERROR_CODES, type ErrorCode, SlipError } from '@slip/core';
import { CLI_FLAGS } from '../cli/common-flags.js';
import { TASK_FLAGS } from '../cli/task-flags.js';
import type { ProgramPlace } from './batch-script.js';
import { SUBMIT_FLAGS } from './submit-flags.js';

type Values = Readonly<Record<string, unknown>>;

/** Where neither --job_dir nor flags nor recipe name one. */
export const DEFAULT_RUN_FOLDER = 'runs/%j';

export interface TaskRequest {
  readonly task: string;
  /** Of the task, only those given. */
  readonly flags: Values;
  readonly recipe?: string;
  /** --job_dir, which is --output-dir in the job. */
  readonly jobDir?: string;
  readonly launch: { readonly numNodes: number; readonly nprocPerNode: number };
  readonly cwd: string;
  readonly program: ProgramPlace;
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

/** Flags of a task that slip-submit does not have itself. */
export function ownFlags(task: string): readonly FlagDefinition[] {
  const taken = new Set([...CLI_FLAGS, ...SUBMIT_FLAGS].map(({ name }) => name));
  // --json is about what slip-submit prints, whatever the task in the job does.
  return TASK_FLAGS[task]!.filter(({ name }) => !taken.has(name) && name !== 'json');
}

/** @throws SlipError naming the flag */
export async function prepareTask(request: TaskRequest): Promise<SubmitTask> {
  const { isTrainingTask } = await import('@slip/config');
  return isTrainingTask(request.task) ? prepareTraining(request, request.task) : prepareOther(request);
}

async function prepareTraining(
  { flags, recipe, launch, cwd }: TaskRequest,
  task: Parameters<typeof import('@slip/config').resolveTask>[0],
): Promise<SubmitTask> {
  const { checkpointBytes, commandLineOf, resolveTask } = await import('@slip/config');
  const { config, notices, warnings } = await resolveTask(task, {
    flags,
    ...(recipe === undefined ? {} : { recipe }),
    launch,
    cwd,
  });
  const values = config as unknown as Values;
  const runFolder = path.resolve(cwd, config.outputDir);
  return {
    taskFlags: commandLineOf(config),
    ...(runFolder === path.resolve(cwd) ? {} : { runFolder }),
    files: filesOf(TASK_FLAGS[task]!, ({ name }) => values[configKey(name)]),
    checkpointBytes: checkpointBytes(config),
    notices,
    warnings,
    describe: async (outputDir) => {
      const { describeTask } = await import('../cli/describe-task.js');
      return describeTask({ ...config, outputDir });
    },
  };
}

/** slip-launch is asked with --dry-run: what it refuses would fail in the job. */
async function prepareOther(request: TaskRequest): Promise<SubmitTask> {
  const { task, flags, recipe, jobDir, cwd } = request;
  const outputDir = flags['output-dir'];
  const isNamed = typeof outputDir === 'string' && outputDir !== '';
  const folder = path.resolve(cwd, jobDir ?? (isNamed ? outputDir : DEFAULT_RUN_FOLDER));
  const taskFlags = [
    ...(recipe === undefined ? [] : [`--recipe=${recipe}`]),
    ...TASK_FLAGS[task]!.flatMap((flag) => (flag.name === 'output-dir' ? [] : asWords(flag, flags[flag.name]))),
  ];
  const hasFolder = TASK_FLAGS[task]!.some(({ name }) => name === 'output-dir');
  const plan = await dryRun(request, hasFolder ? [`--output-dir=${folder}`, ...taskFlags] : taskFlags);
  return {
    taskFlags,
    ...(isNamed ? { runFolder: path.resolve(cwd, outputDir) } : {}),
    files: filesOf(TASK_FLAGS[task]!, ({ name }) => flags[name]),
    checkpointBytes: 0,
    notices: [],
    warnings: [],
    describe: async (runFolder) => `${task} in ${runFolder}\n${plan}`,
  };
}

/** Paths that the task reads, as far as they do not depend on where it runs. */
function filesOf(
  flags: readonly FlagDefinition[],
  read: (flag: FlagDefinition) => unknown,
): readonly (readonly [string, string])[] {
  return flags.flatMap((flag): (readonly [string, string])[] => {
    const value = read(flag);
    const isRead = typeof value === 'string' && path.isAbsolute(value) && !WRITTEN.test(flag.name);
    return isRead ? [[flag.name, value]] : [];
  });
}

const WRITTEN = /^(output|log|index|cache)\b/;

function asWords({ name, repeatable }: FlagDefinition, value: unknown): string[] {
  if (value === undefined) return [];
  if (value === true) return [`--${name}`];
  if (!Array.isArray(value)) return [`--${name}=${value}`];
  return repeatable === true ? value.map((item) => `--${name}=${item}`) : [`--${name}=${value.join(',')}`];
}

/** What slip-launch prints about the task. @throws SlipError with the code and the words of slip-launch */
function dryRun({ task, launch, cwd, program }: TaskRequest, taskFlags: readonly string[]): Promise<string> {
  const sizes = [`--nnodes=${launch.numNodes}`, `--nproc=${launch.nprocPerNode}`];
  const args = [path.join(program.bin, 'slip-launch.js'), '--dry-run', ...sizes, task, ...taskFlags];
  return new Promise((resolve, reject) => {
    const child = spawn(program.node, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.once('error', reject);
    child.once('close', (exitCode) => {
      if (exitCode === 0) return resolve(stdout.trimEnd());
      const known = (Object.keys(ERROR_CODES) as ErrorCode[]).find((code) => ERROR_CODES[code] === exitCode);
      const said = stderr.trim().split('\n').at(-1) ?? '';
      reject(new SlipError(known ?? 'internal', said.replace(/^slip-launch: (\[[\w-]+\] )?/, '')));
    });
  });
}
