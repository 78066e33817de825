// The command slip-submit: argv and environment in, exit code out. The only place of submission that reads either.
import { fileURLToPath } from 'node:url';
import type { FlagDefinition } from '@slip/config/flags';
import { createLogger, type Logger, nearestName, SlipError } from '@slip/core';
import { CLI_FLAGS, LEGACY_FLAGS } from '../cli/common-flags.js';
import { parseArguments } from '../cli/parse-arguments.js';
import { TASKS } from '../cli/task-flags.js';
import { versionOf } from '../cli/version.js';
import { LAUNCH_FLAGS } from '../launch/launch-flags.js';
import type { CheckResult } from './checks.js';
import { makePlan, PASSED_ON } from './make-plan.js';
import { JOB_COMMANDS, RUN_COMMANDS, runCommand, WATCH_INTERVAL_FLAG } from './run-commands.js';
import type { Sent } from './send.js';
import { SUBMIT_FLAGS, submitFlagsOf } from './submit-flags.js';
import type { SubmitPlan } from './submit-plan.js';
import { ownFlags, type SubmitTask } from './submit-tasks.js';

const PROGRAM = { node: process.execPath, bin: fileURLToPath(new URL('../../bin', import.meta.url)) };

/** Runs the command; errors for people are printed here, as one line. */
export async function slipSubmit(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  try {
    const [first] = argv;
    if (first !== undefined && [...RUN_COMMANDS, ...JOB_COMMANDS].includes(first))
      return await runCommand(first, argv.slice(1), environment, PROGRAM);
    if (first === 'doctor') return await submitDoctor(argv.slice(1), environment);
    return await submit(argv, environment);
  } catch (thrown) {
    const error = SlipError.from(thrown);
    process.stderr.write(`slip-submit: ${error.toString()}\n`);
    if (error.code === 'internal' && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
    return error.exitCode;
  }
}

async function submit(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const passedOn = LAUNCH_FLAGS.filter(({ name }) => PASSED_ON.includes(name));
  const named = argv.find((word) => TASKS.includes(word)) ?? 'pretrain';
  const legacy = LEGACY_FLAGS.filter(({ name }) => !ownFlags(named).some((flag) => flag.name === name));
  const definitions = [...CLI_FLAGS, ...REPLY_FLAGS, ...legacy, ...passedOn, ...SUBMIT_FLAGS, ...ownFlags(named)];
  const { task = 'pretrain', flags } = parseArguments(argv, definitions, TASKS);
  if (!TASKS.includes(task)) throw unknownTask(task);
  if (flags.help === true) return printHelp(task, passedOn);
  if (flags.version === true) return print(versionOf('slip-submit'));
  const log = createLogger('submit', flags.json === true ? 'warn' : 'info');
  for (const { name, description } of legacy)
    if (flags[name] !== undefined) log.info(`--${name} has no effect: ${description}`);
  return submitTask(task, flags, environment, log);
}

async function submitDoctor(argv: readonly string[], environment: NodeJS.ProcessEnv): Promise<number> {
  const { flags } = parseArguments(argv, [...CLI_FLAGS, ...REPLY_FLAGS, ...SUBMIT_FLAGS], []);
  if (flags.help === true) return printHelp('bench-comm', []);
  const { doctor } = await import('./doctor.js');
  return doctor(flags, environment, PROGRAM, (line) => print(line));
}

type Values = Readonly<Record<string, unknown>>;

async function submitTask(name: string, given: Values, environment: NodeJS.ProcessEnv, log: Logger): Promise<number> {
  const { chooseWay, restAddress, sendPlan } = await import('./send.js');
  const { checkSubmission } = await import('./checks.js');
  const { renderBatchScript } = await import('./batch-script.js');
  const { elementsOf, refuseEqualFolders } = await import('./submit-array.js');
  const via = (given.via ?? 'auto') as 'auto' | 'sbatch' | 'rest';
  const elements: Prepared[] = [];
  for (const element of elementsOf(given)) {
    const { plan, task } = await makePlan(name, element, { environment, program: PROGRAM, log });
    const script = renderBatchScript(plan, PROGRAM);
    const checked = await checkSubmission({ plan, task, script, via, environment });
    elements.push({ plan, task, script, ...checked });
  }
  refuseEqualFolders(elements.map(({ plan }) => plan.runFolder));
  if (given['dry-run'] === true) return preview(elements);
  for (const warning of new Set(elements.flatMap(({ warnings }) => warnings))) log.warn(warning);
  // One that cannot work keeps all of them out of the queue.
  const errors = elements.flatMap((element) => element.errors);
  for (const error of errors.slice(1)) log.error(error.toString());
  if (errors[0] !== undefined) throw errors[0];
  const way = chooseWay(via, restAddress(given['rest-url'] as string | undefined, environment), environment);
  for (const { plan, script } of elements) {
    const sent = await sendPlan(plan, script, way, environment);
    print(given.json === true ? JSON.stringify(sent) : describeSent(plan, sent));
    if (given.follow === true) return runCommand('watch', watchArguments(sent.runFolder, given), environment, PROGRAM);
  }
  return 0;
}

interface Prepared extends CheckResult {
  readonly plan: SubmitPlan;
  readonly task: SubmitTask;
  readonly script: string;
}

async function preview(elements: readonly Prepared[]): Promise<number> {
  let exitCode = 0;
  for (const { plan, task, script, errors, warnings } of elements) {
    const problems = [...errors];
    print(script);
    try {
      print(commented(await task.describe(plan.runFolder)));
    } catch (thrown) {
      problems.push(SlipError.from(thrown));
    }
    for (const warning of warnings) print(`# warning: ${warning}`);
    for (const problem of problems) print(`# refused: ${problem.toString()}`);
    exitCode ||= problems[0]?.exitCode ?? 0;
  }
  return exitCode;
}

function describeSent(plan: SubmitPlan, sent: Sent): string {
  return (
    `job ${sent.jobId} submitted (${sent.via}): ${plan.nodes} nodes x ${plan.workersPerNode} workers\n` +
    `run folder ${sent.runFolder}\nslip-submit status ${sent.runFolder}`
  );
}

function watchArguments(runFolder: string, given: Values): string[] {
  const passed = ['interval', 'via', 'rest-url'].flatMap((name) =>
    given[name] === undefined ? [] : [`--${name}=${given[name]}`],
  );
  return [runFolder, ...passed, ...(given.json === true ? ['--json'] : [])];
}

const REPLY_FLAGS: readonly FlagDefinition[] = [
  { name: 'json', type: 'boolean', description: 'one line of JSON instead of text' },
  { name: 'follow', type: 'boolean', description: 'stay, and submit the run again where Slurm does not requeue it' },
  WATCH_INTERVAL_FLAG,
  { name: 'array', type: 'array', texts: true, description: 'recipes: each becomes a job and a run folder of its own' },
];

const USAGE = `slip-submit [job flags] [TASK] [task flags]
slip-submit ${RUN_COMMANDS.join('|')} RUN    (each with --help)
slip-submit doctor [job flags]

Submits a run to Slurm: one agent per node, one worker per GPU, back into the queue after a
preemption, a time limit or a lost node. TASK is pretrain when not given, or one of
${TASKS.slice(1).join(', ')};
--help after a task lists its flags and defaults. Flags may be written with hyphens or underscores.`;

async function printHelp(task: string, passedOn: readonly FlagDefinition[]): Promise<number> {
  const { renderHelp } = await import('../cli/help.js');
  const page = {
    usage: USAGE,
    examples: [
      ['slip-submit --nodes 8 --recipe slip_vitb16 --root /data/yfcc --dry-run', 'show script and plan, start nothing'],
      ['slip-submit --nodes 2 --ngpus 4 --partition gpu --time 1-00:00:00 --recipe slip_vits16', 'submit'],
    ] as const,
    epilogue: 'Exit codes are in docs/errors.md, more in docs/slurm.md.',
    groups: [
      { title: 'Job', flags: [...submitFlagsOf(task), ...REPLY_FLAGS] },
      { title: 'Launch', flags: passedOn },
      { title: 'General', flags: CLI_FLAGS },
      { title: task, flags: ownFlags(task) },
    ],
  };
  return print(renderHelp(page, Math.min(120, process.stdout.columns ?? 100)));
}

function commented(text: string): string {
  return text.replaceAll(/^/gm, '# ');
}

function print(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}

function unknownTask(task: string): SlipError {
  const known = [...TASKS, ...RUN_COMMANDS, 'doctor'];
  const nearest = nearestName(task, known);
  const hint = nearest === undefined ? `known are ${known.join(', ')}` : `did you mean ${nearest}?`;
  return new SlipError('config', `unknown task "${task}"; ${hint}`);
}
