// The command slip-launch: argv and environment in, exit code out. The only place of the launcher that reads either.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchCommConfig, TaskName, UseConfig } from '@slip/config';
import { BENCH_COMM_FLAGS } from '@slip/config/bench-comm';
import { type FlagDefinition, isUseTask, type UseTaskName } from '@slip/config/flags';
import { createLogger, type Logger, nearestName, SlipError } from '@slip/core';
import type { DeviceKind, DeviceWish } from '@slip/devices';
import { LAUNCH_FLAGS } from '../launch/launch-flags.js';
import { type LaunchSettings, readLaunchSettings } from '../launch/launch-settings.js';
import { readMachine } from '../launch/machine.js';
import { CLI_FLAGS, LEGACY_FLAGS } from './common-flags.js';
import { flagsFromEnvironment, parseArguments } from './parse-arguments.js';
import { TASK_FLAGS, TASKS } from './task-flags.js';
import { versionOf } from './version.js';

/** Runs the command; errors for people are printed here, as one line. */
export async function slipLaunch(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    return await run(argv, environment);
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-launch: ${error.toString()}\n`);
    if (error.code === 'internal' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
    return error.exitCode;
  }
}

async function run(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  if (argv[0] === 'doctor') return runDoctor(argv.slice(1), environment);
  const named = argv.find((word) => TASKS.includes(word)) ?? 'pretrain';
  const isOfTask = ({ name }: FlagDefinition) => TASK_FLAGS[named].some((flag) => flag.name === name);
  const legacy = LEGACY_FLAGS.filter((flag) => !isOfTask(flag));
  const own = [...LAUNCH_FLAGS, ...CLI_FLAGS.filter((flag) => !isOfTask(flag))];
  const { task = 'pretrain', flags } = parseArguments(argv, [...own, ...TASK_FLAGS[named], ...legacy], TASKS);
  if (!TASKS.includes(task)) throw unknownTask(task);
  if (flags.help === true) return printHelp(task);
  if (flags.version === true) return print(versionOf('slip-launch'));

  const log = createLogger('launch');
  // A plan is the same on every node.
  const anyNode = flags['dry-run'] === true ? { 'node-rank': 0, 'rdzv-endpoint': 'localhost:29500' } : {};
  const launchFlags = { ...anyNode, ...flagsFromEnvironment(LAUNCH_FLAGS, environment), ...pick(flags, LAUNCH_FLAGS) };
  const settings = readLaunchSettings(launchFlags, readMachine(environment));
  for (const notice of settings.notices) log.info(notice);
  for (const flag of legacy)
    if (flags[flag.name] !== undefined) log.info(`--${flag.name} has no effect: ${flag.description}`);
  const request = { flags, settings, environment, log };
  if (task === 'bench-comm') return launchBenchComm(request);
  return isUseTask(task) ? launchUse(task, request) : launchTraining(task as TaskName, request);
}

const DOCTOR_FLAGS: readonly FlagDefinition[] = [
  {
    name: 'device',
    type: 'string',
    description: 'only this one, which has to work; otherwise all, and the CPU has to',
    choices: ['cpu', 'webgpu', 'cuda', 'tensorflow'],
  },
  { name: 'json', type: 'boolean', description: 'one line for programs' },
];

async function runDoctor(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { flags } = parseArguments(argv, [...DOCTOR_FLAGS, ...CLI_FLAGS], []);
  if (flags.help === true) {
    const { renderHelp } = await import('./help.js');
    return print(await renderHelp(DOCTOR_HELP, Math.min(120, process.stdout.columns ?? 100)));
  }
  const { doctorDevices } = await import('../devices/doctor.js');
  const { device } = flags as { device?: DeviceKind };
  const wanted = { json: flags.json === true, ...(device === undefined ? {} : { device }) };
  return doctorDevices(wanted, environment, print);
}

const DOCTOR_HELP = {
  program: 'slip-launch doctor',
  usage: `slip-launch doctor [--device DEVICE]

Tells what each device needs and what of it is here, trains a small model on those that are, compares
it with the CPU, and names the command that mends what is missing. Takes a minute.`,
  examples: [['slip-launch doctor --device cuda', 'exit code 0 when a training can run on it']] as const,
  epilogue: 'docs/devices.md tells more. slip-submit doctor looks at the nodes of a cluster.',
  groups: [{ title: 'Doctor', flags: DOCTOR_FLAGS }],
};

interface LaunchRequest {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly settings: LaunchSettings;
  readonly environment: NodeJS.ProcessEnv;
  readonly log: Logger;
}

async function launchTraining(task: TaskName, request: LaunchRequest): Promise<number> {
  const { flags, settings, log } = request;
  const { continueRun, resolveTask, writeRunConfig } = await import('@slip/config');
  const { numNodes, nprocPerNode } = settings;
  const resolved = await resolveTask(task, {
    flags: pick(flags, TASK_FLAGS[task]),
    ...(typeof flags.recipe === 'string' ? { recipe: flags.recipe } : {}),
    launch: { numNodes, nprocPerNode },
    cwd: process.cwd(),
  });
  const { config, hash, notices, warnings } = await continueRun(resolved);
  for (const notice of notices) log.info(notice);
  for (const warning of warnings) log.warn(warning);
  if (flags['dry-run'] === true) {
    const { describeTask } = await import('./describe-task.js');
    return print(await describeTask(config));
  }

  await checkDevice(config.device, request.environment);
  const runFolder = path.resolve(config.outputDir);
  await bringPretrained(request, config.pretrained, runFolder);
  if (settings.nodeRank === 0) await writeRunConfig(config, hash);
  return launchTask(request, runFolder, hash, () => writeRunConfig(config, hash));
}

/** What this node lacks is said in one line, before anything is started; workers look again for themselves. */
async function checkDevice(device: DeviceWish, environment: NodeJS.ProcessEnv): Promise<void> {
  if (device === 'cpu') return;
  const { chooseDevice, findDeviceFacts } = await import('@slip/devices');
  chooseDevice(device, findDeviceFacts(environment), 0);
}

/** Once per machine and before workers start, because a download may take longer than ranks wait for each other. */
async function bringPretrained({ environment, log }: LaunchRequest, name: string, runFolder: string): Promise<void> {
  if (name === '' || existsSync(path.join(runFolder, 'checkpoints', 'latest'))) return;
  const { cacheFolder, fetchPretrained, mirrorOf } = await import('@slip/weights');
  let percent = 0;
  const file = await fetchPretrained(name, {
    cacheDir: cacheFolder(environment),
    base: mirrorOf(environment),
    onProgress: (done, total) => {
      const now = Math.floor((10 * done) / total) * 10;
      if (now > percent) log.info(`downloading ${name}: ${now} %`);
      percent = now;
    },
  });
  log.info(`pretrained weights: ${file}`);
}

async function launchBenchComm(request: LaunchRequest): Promise<number> {
  const { resolveBenchComm, writeBenchComm } = await import('@slip/config');
  if (request.flags.recipe !== undefined) throw new SlipError('config', '--recipe: bench-comm has no recipes');
  const { config, hash } = resolveBenchComm(pick(request.flags, BENCH_COMM_FLAGS));
  if (request.flags['dry-run'] === true) return print(describeBench(config));
  return withFolder('bench-comm', config.outputDir, async (folder) => {
    await writeBenchComm(folder, config, hash);
    return launchTask(request, folder, hash, () => writeBenchComm(folder, config, hash));
  });
}

/** The tasks that use a model and train nothing. */
async function launchUse(task: UseTaskName, request: LaunchRequest): Promise<number> {
  const { resolveUse, writeUse } = await import('@slip/config');
  const { flags } = request;
  const { config, hash } = await resolveUse(task, {
    flags: pick(flags, TASK_FLAGS[task]),
    ...(typeof flags.recipe === 'string' ? { recipe: flags.recipe } : {}),
    cwd: process.cwd(),
  });
  if (flags['dry-run'] === true) return print(await describeUse(config));
  return withFolder(task, config.outputDir, async (folder) => {
    await bringPretrained(request, config.resume, folder);
    const { checkModel } = await import('./check-model.js');
    await checkModel(config, request.environment);
    await writeUse(folder, config, hash);
    return launchTask(request, folder, hash, () => writeUse(folder, config, hash));
  });
}

async function describeUse(config: UseConfig): Promise<string> {
  if (config.task !== 'zeroshot') return `${JSON.stringify(config, null, 2)}\n`;
  return (await import('./describe-task.js')).describeZeroShot(config);
}

/** @param outputDir empty for one that lasts as long as the work */
async function withFolder(task: string, outputDir: string, work: (folder: string) => Promise<number>): Promise<number> {
  if (outputDir !== '') return work(path.resolve(outputDir));
  const folder = mkdtempSync(path.join(os.tmpdir(), `slip-${task}-`));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function describeBench({ op, sizes, transport }: BenchCommConfig): string {
  return `bench-comm: ${op}, ${sizes.length} sizes from ${sizes[0]} to ${sizes.at(-1)} bytes, --transport ${transport}`;
}

/** @param writeConfig for nodes that do not see the folder of node 0 */
async function launchTask(
  { flags, settings, environment, log }: LaunchRequest,
  runFolder: string,
  configHash: string,
  writeConfig: () => Promise<void>,
): Promise<number> {
  // Whatever a task has to say about itself, a dry run starts nothing.
  if (flags['dry-run'] === true)
    return print(`${settings.numNodes} nodes x ${settings.nprocPerNode} workers in ${runFolder}`);
  const configFile = path.join(runFolder, 'config.json');
  const { launch } = await import('../launch/launch.js');
  const { processSignals } = await import('../launch/process-signals.js');
  return launch(
    {
      ...settings,
      ...(settings.logDir === undefined ? {} : { logDir: path.resolve(settings.logDir) }),
      ...{ runFolder, configFile, configHash },
      workerExecutable: findWorker(),
      // Where storage is not shared, every node keeps a copy of its own.
      beforeStart: async () => {
        if (!existsSync(configFile)) await writeConfig();
      },
      environment,
    },
    { log, terminal: process, onSignal: processSignals(settings.signals) },
  );
}

/** The other application: located by its place in the project, and started as a process, never imported. */
function findWorker(): string {
  const worker = fileURLToPath(new URL('../../../worker/dist/main.js', import.meta.url));
  if (!existsSync(worker))
    throw new SlipError('rendezvous', `the worker ${worker} is missing; run npm run build first`);
  return worker;
}

const USAGE = `slip-launch [launch flags] [TASK] [task flags]

Starts one worker per device on this node, and with --nnodes its part of several nodes. TASK is
pretrain when not given; linear and finetune train a classifier on a model; zeroshot evaluates it
on many sets; embed, retrieve, predict and recall use one; bench-comm measures the collectives.
--help after a task lists its flags.
slip-launch doctor tells which devices work here.
Flags may stand anywhere, be written with hyphens or underscores; PET_* variables give defaults for launch flags.`;

async function printHelp(task: string): Promise<number> {
  const { renderHelp } = await import('./help.js');
  const page = {
    usage: USAGE,
    examples: [
      ['slip-launch --nproc 8 pretrain --model SLIP_VITB16 --root /data/yfcc', 'eight workers on this machine'],
      ['slip-launch --nproc auto --recipe quickstart', 'a recipe, one worker per device'],
      ['slip-launch --nproc 8 linear --pretrained slip_base_100ep --data-path /data/imagenet', 'linear probing'],
      [
        'slip-launch --nproc 8 zeroshot --resume runs/b16/checkpoints/best --root /data/sets --datasets food101,pets',
        'zero-shot classification',
      ],
      [
        'slip-launch predict dog.jpg --resume runs/b16/checkpoints/best --labels "a dog, a cat"',
        'what is in a picture',
      ],
      ['slip-launch --nproc 8 bench-comm --sizes 1K:512M', 'how fast ranks talk, and whether they are right'],
      ['slip-launch --nnodes 2 --node-rank 0 --rdzv-endpoint node0:29500 --nproc 8', 'first of two machines'],
    ] as const,
    epilogue: 'Exit codes: 0 finished, 75 stopped and can go on, others in docs/errors.md. More in docs/launch.md.',
    groups: [
      { title: 'Launch', flags: LAUNCH_FLAGS },
      { title: 'General', flags: CLI_FLAGS },
      { title: task, flags: TASK_FLAGS[task] },
    ],
  };
  return print(renderHelp(page, Math.min(120, process.stdout.columns ?? 100)));
}

function print(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}

function unknownTask(task: string): SlipError {
  const nearest = nearestName(task, TASKS);
  const hint = nearest === undefined ? `known are ${TASKS.join(', ')}` : `did you mean ${nearest}?`;
  return new SlipError('config', `unknown task "${task}"; ${hint}`);
}

function pick(
  flags: Readonly<Record<string, unknown>>,
  definitions: readonly FlagDefinition[],
): Record<string, unknown> {
  const own = new Set(CLI_FLAGS.map(({ name }) => name));
  const names = new Set(definitions.map(({ name }) => name).filter((name) => !own.has(name)));
  return Object.fromEntries(Object.entries(flags).filter(([name]) => names.has(name)));
}
