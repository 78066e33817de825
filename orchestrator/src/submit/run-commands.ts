// The commands about a run that exists: `slip-submit COMMAND RUN`. Reads arguments, and hands over to one file per command.
import path from 'node:path';
import type { FlagDefinition } from '@slip/config/flags';
import { SlipError } from '@slip/core';
import { parseArguments } from '../cli/parse-arguments.js';
import { appendEvent } from '../launch/run-store.js';
import type { ProgramPlace } from './batch-script.js';
import { runFolderOf } from './job-commands.js';
import type { JobQuery } from './job-query.js';
import type { ResubmitWay } from './resubmit.js';
import { SUBMIT_FLAGS } from './submit-flags.js';
import { readEvents, readSubmissions, type SubmissionRecord } from './submit-record.js';

const RUN_HELP: Readonly<Record<string, string>> = {
  status: "Slurm's state and reason, step, images per second, time to go, newest checkpoint, attempts left by cause.",
  list: 'All runs in a folder, runs/ unless given.',
  logs: "The ranks' logs in the order of time; what several ranks say at once is one line.",
  cancel: "Like scancel, and noted in the run's events.",
  resume: 'Submits the same plan again; the run goes on from its newest checkpoint.',
  watch: 'Waits for the end, and submits the run again where Slurm does not requeue it by itself.',
  attempts: 'Every start with its hosts, how it ended and what followed.',
};

export const RUN_COMMANDS = Object.keys(RUN_HELP);

/** Run by batch scripts, not by people. */
export const JOB_COMMANDS = ['after', 'doctor-node'];

/** Of `watch`, and of a submission with --follow. */
export const WATCH_INTERVAL_FLAG: FlagDefinition = {
  name: 'interval',
  type: 'number',
  description: 'watch: seconds between two looks at the job (30)',
};

const RUN_FLAGS: readonly FlagDefinition[] = [
  { name: 'json', type: 'boolean', description: 'JSON instead of text' },
  { name: 'follow', alias: ['f'], type: 'boolean', description: 'logs: go on until the run is over' },
  { name: 'attempt', type: 'number', description: 'logs: of this attempt, not of the newest' },
  WATCH_INTERVAL_FLAG,
  ...SUBMIT_FLAGS.filter(({ name }) => name === 'rest-url' || name === 'via'),
  { name: 'help', alias: ['h'], type: 'boolean', description: 'print this' },
];

/** Of a flag above, the commands that know it; all where it is not named. */
const FLAG_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  json: ['status', 'list', 'cancel', 'resume', 'watch', 'attempts'],
  follow: ['logs'],
  attempt: ['logs'],
  interval: ['watch'],
  via: ['resume', 'watch'],
};

/** @param program where node and the commands are, for a script that is written again */
export async function runCommand(
  command: string,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv,
  program: ProgramPlace,
): Promise<number> {
  if (JOB_COMMANDS.includes(command)) return (await import('./job-commands.js')).jobCommand(command, argv, environment);
  const { task, flags } = parseArguments(argv, RUN_FLAGS, []);
  if (flags.help === true) return printHelp(command);
  if (task === undefined && command !== 'list')
    throw new SlipError('config', `slip-submit ${command} RUN: the folder of a run is missing`);
  const { openJobQuery } = await import('./job-query.js');
  const given: Given = {
    folder: runFolderOf(task ?? 'runs'),
    json: flags.json === true,
    flags,
    jobs: () => openJobQuery(environment, flags['rest-url'] as string | undefined),
    environment,
    program,
  };
  switch (command) {
    case 'status':
      return status(given);
    case 'list':
      return list(given);
    case 'logs':
      return logs(given);
    case 'cancel':
      return cancel(given);
    case 'resume':
      return resume(given);
    case 'watch':
      return watch(given);
    case 'attempts':
      return attempts(given);
    default:
      throw new SlipError('internal', `no command ${command}`);
  }
}

async function printHelp(command: string): Promise<number> {
  const { renderHelp } = await import('../cli/help.js');
  const page = {
    program: 'slip-submit',
    usage: `slip-submit ${command} ${command === 'list' ? '[FOLDER]' : 'RUN'}\n\n${RUN_HELP[command]} RUN is the folder of the run.`,
    examples: [],
    epilogue: 'More in docs/slurm.md.',
    groups: [{ title: 'Flags', flags: RUN_FLAGS.filter(({ name }) => FLAG_COMMANDS[name]?.includes(command) ?? true) }],
  };
  return print(await renderHelp(page, Math.min(120, process.stdout.columns ?? 100)));
}

interface Given {
  readonly folder: string;
  readonly json: boolean;
  readonly flags: Readonly<Record<string, unknown>>;
  readonly jobs: () => JobQuery;
  readonly environment: NodeJS.ProcessEnv;
  readonly program: ProgramPlace;
}

async function status({ folder, json, jobs }: Given): Promise<number> {
  const { readRunStatus, renderStatus } = await import('./run-status.js');
  const found = await readRunStatus(folder, jobs());
  return print(json ? JSON.stringify(found) : renderStatus(found));
}

async function list({ folder, json, jobs }: Given): Promise<number> {
  const { findRuns, readRunStatus } = await import('./run-status.js');
  const runs = await findRuns(folder);
  const query = jobs();
  const found = await Promise.all(runs.map((run) => readRunStatus(run, query)));
  if (json) return print(JSON.stringify(found));
  if (found.length === 0) return print(`no run in ${folder} was submitted by slip-submit`);
  const rows = found.map(({ runFolder, jobId, state, step, totalSteps, requeues }) => [
    path.basename(runFolder),
    String(jobId),
    state,
    totalSteps === undefined ? String(step) : `${step}/${totalSteps}`,
    String(requeues),
  ]);
  return print(table([['run', 'job', 'state', 'step', 'requeued'], ...rows]));
}

async function logs({ folder, flags, jobs }: Given): Promise<number> {
  const { followLogs } = await import('./follow-logs.js');
  const { isActive } = await import('./job-query.js');
  const follow = flags.follow === true;
  const query = follow ? jobs() : undefined;
  const isOver = async (): Promise<boolean> => {
    const submission = (await readSubmissions(folder)).at(-1);
    return query === undefined || submission === undefined || !isActive(await query.facts(submission.jobId));
  };
  const attempt = flags.attempt === undefined ? {} : { attempt: Number(flags.attempt) };
  await followLogs({ runFolder: folder, follow, isOver, ...attempt }, print);
  return 0;
}

async function cancel({ folder, json, jobs }: Given): Promise<number> {
  const { isActive } = await import('./job-query.js');
  const { jobId } = await lastSubmission(folder);
  const query = jobs();
  const facts = await query.facts(jobId);
  const active = isActive(facts);
  if (active) {
    // Written first, so that whoever reads the events knows that this end was wanted.
    await appendEvent(folder, { event: 'cancelled', jobId, reason: 'slip-submit cancel' });
    await query.cancel(jobId);
  }
  const state = facts?.state ?? 'FORGOTTEN';
  if (json) return print(JSON.stringify({ jobId, cancelled: active, state }));
  return print(
    active
      ? `job ${jobId} is being cancelled; slip-submit resume ${folder} goes on from its checkpoint`
      : `job ${jobId} is over already (${state})`,
  );
}

async function resume(given: Given): Promise<number> {
  const { folder, json, jobs } = given;
  const { isActive } = await import('./job-query.js');
  const { resubmit } = await import('./resubmit.js');
  const submission = await lastSubmission(folder);
  const { jobId } = submission;
  const facts = await jobs().facts(jobId);
  if (isActive(facts))
    throw new SlipError(
      'config',
      `${folder}: job ${jobId} is ${facts?.state}, so there is nothing to resume; see slip-submit status`,
    );
  if ((await readEvents(folder)).at(-1)?.event === 'completed')
    throw new SlipError(
      'config',
      `${folder}: the run has finished, so there is nothing to resume; see slip-submit status`,
    );
  const sent = await resubmit(folder, submission, wayOf(given));
  return print(json ? JSON.stringify(sent) : `job ${sent.jobId} submitted (${sent.via}): goes on with ${folder}`);
}

async function watch(given: Given): Promise<number> {
  const { folder, json, jobs, flags } = given;
  const { watchRun } = await import('./watch-run.js');
  const { resubmit } = await import('./resubmit.js');
  return watchRun({
    runFolder: folder,
    jobs: jobs(),
    resubmit: (submission) => resubmit(folder, submission, wayOf(given)),
    everyMs: Number(flags.interval ?? 30) * 1000,
    say: (news) => print(json ? JSON.stringify(news) : `${new Date().toISOString()} job ${news.jobId}: ${news.text}`),
  });
}

function wayOf({ flags, environment, program }: Given): ResubmitWay {
  const via = (flags.via ?? 'auto') as ResubmitWay['via'];
  return { via, restUrl: flags['rest-url'] as string | undefined, environment, program };
}

async function attempts({ folder, json }: Given): Promise<number> {
  const { attemptsOf } = await import('./attempts.js');
  const events = await readEvents(folder);
  if (events.length === 0) throw new SlipError('data', `${folder} is not the folder of a run: it has no events.jsonl`);
  const found = attemptsOf(events);
  if (json) return print(JSON.stringify(found));
  const rows = found.map(({ attempt, jobId, startedAt, endedAt, hosts, end, step, next }) => [
    String(attempt),
    String(jobId ?? '-'),
    startedAt,
    endedAt === undefined ? '-' : `${Math.round((Date.parse(endedAt) - Date.parse(startedAt)) / 1000)} s`,
    hosts.join(','),
    end,
    String(step ?? '-'),
    next,
  ]);
  return print(table([['attempt', 'job', 'started', 'took', 'hosts', 'end', 'saved', 'then'], ...rows]));
}

async function lastSubmission(folder: string): Promise<SubmissionRecord> {
  const submission = (await readSubmissions(folder)).at(-1);
  if (submission !== undefined) return submission;
  throw new SlipError('data', `${folder} is not the folder of a run that slip-submit has submitted`);
}

function print(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
