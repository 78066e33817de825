// The command slip-launch: argv and environment in, exit code out. The only place of the launcher that reads either.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { PRETRAIN_FLAGS } from '@slip/config/flags';
import { createLogger, type Logger, nearestName, SlipError } from '@slip/core';
import { LAUNCH_FLAGS } from '../launch/launch-flags.js';
import { type LaunchSettings, readLaunchSettings } from '../launch/launch-settings.js';
import { readMachine } from '../launch/machine.js';
import { CLI_FLAGS, LEGACY_FLAGS } from './common-flags.js';
import type { FlagDefinition } from './flag-definition.js';
import { knownSize } from './known-size.js';
import { flagsFromEnvironment, parseArguments } from './parse-arguments.js';

const TASKS = ['pretrain'];

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
  const legacy = LEGACY_FLAGS.filter(({ name }) => !PRETRAIN_FLAGS.some((flag) => flag.name === name));
  const own = [...LAUNCH_FLAGS, ...CLI_FLAGS.filter(({ name }) => !PRETRAIN_FLAGS.some((flag) => flag.name === name))];
  const { task = 'pretrain', flags } = parseArguments(argv, [...own, ...PRETRAIN_FLAGS, ...legacy], TASKS);
  if (!TASKS.includes(task)) throw unknownTask(task);
  if (flags.help === true) return printHelp();
  if (flags.version === true) return print(readVersion());

  const log = createLogger('launch');
  // A plan is the same on every node.
  const anyNode = flags['dry-run'] === true ? { 'node-rank': 0, 'rdzv-endpoint': 'localhost:29500' } : {};
  const launchFlags = { ...anyNode, ...flagsFromEnvironment(LAUNCH_FLAGS, environment), ...pick(flags, LAUNCH_FLAGS) };
  const settings = readLaunchSettings(launchFlags, readMachine(environment));
  for (const notice of settings.notices) log.info(notice);
  for (const flag of legacy)
    if (flags[flag.name] !== undefined) log.info(`--${flag.name} has no effect: ${flag.description}`);
  return launchPretrain({ flags, settings, environment, log });
}

interface PretrainLaunch {
  readonly flags: Readonly<Record<string, unknown>>;
  readonly settings: LaunchSettings;
  readonly environment: NodeJS.ProcessEnv;
  readonly log: Logger;
}

async function launchPretrain({ flags, settings, environment, log }: PretrainLaunch): Promise<number> {
  const { describePlan, resolvePretrainConfig, writeRunConfig } = await import('@slip/config');
  const { numNodes, nprocPerNode } = settings;
  const { config, hash, notices, warnings } = await resolvePretrainConfig({
    flags: pick(flags, PRETRAIN_FLAGS),
    ...(typeof flags.recipe === 'string' ? { recipe: flags.recipe } : {}),
    launch: { numNodes, nprocPerNode },
    cwd: process.cwd(),
  });
  for (const notice of notices) log.info(notice);
  for (const warning of warnings) log.warn(warning);
  if (flags['dry-run'] === true) return print(describePlan(config, await knownSize(config)));

  const runFolder = path.resolve(config.outputDir);
  const configFile = path.join(runFolder, 'config.json');
  if (settings.nodeRank === 0) await writeRunConfig(config, hash);
  const { launch } = await import('../launch/launch.js');
  const { processSignals } = await import('../launch/process-signals.js');
  return launch(
    {
      ...settings,
      ...(settings.logDir === undefined ? {} : { logDir: path.resolve(settings.logDir) }),
      runFolder,
      configFile,
      configHash: hash,
      workerExecutable: findWorker(),
      // Where storage is not shared, every node keeps a copy of its own.
      beforeStart: async () => {
        if (!existsSync(configFile)) await writeRunConfig(config, hash);
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

Starts one worker per device on this node, and with --nnodes its part of several nodes. TASK is pretrain when not given.
Flags may stand anywhere, be written with hyphens or underscores; PET_* variables give defaults for launch flags.`;

async function printHelp(): Promise<number> {
  const { renderHelp } = await import('./help.js');
  const page = {
    program: 'slip-launch',
    usage: USAGE,
    examples: [
      ['slip-launch --nproc 8 pretrain --model SLIP_VITB16 --root /data/yfcc', 'eight workers on this machine'],
      ['slip-launch --nproc auto --recipe quickstart', 'a recipe, one worker per device'],
      ['slip-launch --nnodes 2 --node-rank 0 --rdzv-endpoint node0:29500 --nproc 8', 'first of two machines'],
    ] as const,
    epilogue: 'Exit codes: 0 finished, 75 stopped and can go on, others in docs/errors.md. More in docs/launch.md.',
    groups: [
      { title: 'Launch', flags: LAUNCH_FLAGS },
      { title: 'General', flags: CLI_FLAGS },
      { title: 'Pretrain', flags: PRETRAIN_FLAGS },
    ],
  };
  return print(await renderHelp(page, Math.min(120, process.stdout.columns ?? 100)));
}

function print(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}

function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return `slip-launch ${manifest.version}`;
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
