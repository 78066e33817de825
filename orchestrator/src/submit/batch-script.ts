// The batch script of a plan, for sbatch and for people. A pure function of the plan and of where the program is.
import type { SubmitPlan } from './submit-plan.js';
import { formatTimeLimit } from './time-limit.js';

export interface ProgramPlace {
  /** The node executable. */
  readonly node: string;
  /** Folder of slip-launch.js and slip-submit.js. */
  readonly bin: string;
}

/** The event of a job that has come to its end, inside double quotes of the shell; after.ts writes it. */
const COMPLETED = '\\"event\\":\\"completed\\",\\"jobId\\":$SLURM_JOB_ID,';

export function renderBatchScript(plan: SubmitPlan, program: ProgramPlace): string {
  return [
    ...scriptHead(plan, program),
    '# Some releases of Slurm, 24.11 among them, start a job once more that was preempted and has completed since.',
    `if [ "\${SLURM_RESTART_COUNT:-0}" -gt 0 ] && grep -qs "${COMPLETED}" "$run/events.jsonl"; then exit 0; fi`,
    '',
    "# Slurm's signals reach the steps too, and slip-launch saves when it gets one. This script only has to outlive them.",
    'interrupted=0',
    "trap 'interrupted=1' TERM USR2",
    '',
    '# One agent per node. The one of the first node hosts the coordinator, on a free port that it writes into the run folder.',
    'mkdir -p "$run/slurm/rendezvous"',
    ...agentStep(plan, ['--bind-workers', ...plan.launchFlags.map(quote)]),
    '  &',
    'step=$!',
    'wait "$step"; code=$?',
    '# A signal ends the waiting, not the step. 127: the first waiting had its result already.',
    'while [ "$interrupted" = 1 ]; do',
    '  interrupted=0',
    '  wait "$step"; again=$?',
    '  [ "$again" = 127 ] || code=$again',
    'done',
    '',
    '# Asks Slurm why the step ended, and puts the job back into the queue where that helps.',
    "trap '' TERM USR2",
    `exec "$node" "$slip/slip-submit.js" after "$run" --exit-code "$code" --signal-lead=${plan.signalLeadSeconds} ${limitFlags(plan)}`,
    '',
  ].join('\n');
}

/** Directives, and where everything is. */
export function scriptHead(plan: SubmitPlan, program: ProgramPlace): string[] {
  return [
    '#!/bin/bash',
    ...directives(plan).map(
      ([key, value]) => `#SBATCH --${key}${value === undefined ? '' : `=${quoteDirective(value)}`}`,
    ),
    '',
    '# Written by slip-submit. It can be read, changed and submitted by hand with sbatch.',
    `run=${withJobId(plan.runFolder)}`,
    `node=${quote(program.node)}`,
    `slip=${quote(program.bin)}`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's, not ours
    'attempt="$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}"',
    '',
    ...(plan.setup.length === 0 ? [] : ['# Set-up lines of site profile and command line.', ...plan.setup, '']),
  ];
}

/** One task per node with all of the node's cores. */
export function srunPerNode(plan: SubmitPlan): string {
  const more = (plan.srun ?? []).map(({ key, value }) => ` --${key}${value === undefined ? '' : `=${quote(value)}`}`);
  return (
    `srun --export=ALL --nodes=${plan.nodes} --ntasks=${plan.nodes} --ntasks-per-node=1 ` +
    `--cpus-per-task=${plan.cpusPerNode} --kill-on-bad-exit=0${more.join('')} \\`
  );
}

/**
 * A program of ours for each task of srun: `$0` is node and `$1` the program, in the container where there is one.
 * @param words in the shell of the task, which knows its place among the others
 */
export function inTask(plan: SubmitPlan, words: string): string {
  const container = plan.container === undefined ? '' : `${plan.container} `;
  return `  bash -c ${quote(`exec ${container}"$0" "$1" ${words}`)} \\`;
}

/** slip-launch on every node, each line with its backslash; what follows ends the command. */
export function agentStep(plan: SubmitPlan, launchFlags: readonly string[]): string[] {
  return [
    srunPerNode(plan),
    inTask(plan, `--node-rank "$SLURM_PROCID" --master-addr "$SLURM_LAUNCH_NODE_IPADDR" "\${@:2}"`),
    '  "$node" "$slip/slip-launch.js" \\',
    ...launchArguments(plan, launchFlags).map((argument) => `  ${argument} \\`),
  ];
}

/** Options of sbatch, in the order of the script; also what a dry run shows. */
export function directives(plan: SubmitPlan): [string, string | undefined][] {
  const gpus = plan.gpuType === undefined ? `${plan.workersPerNode}` : `${plan.gpuType}:${plan.workersPerNode}`;
  const rows: [string, string | boolean | undefined][] = [
    ['job-name', plan.jobName],
    ['partition', plan.partition],
    ['account', plan.account],
    ['qos', plan.qos],
    ['reservation', plan.reservation],
    ['nodes', String(plan.nodes)],
    ['ntasks-per-node', '1'],
    ['cpus-per-task', String(plan.cpusPerNode)],
    ['gres', plan.gpuRequest === 'gres' ? `gpu:${gpus}` : undefined],
    ['gpus-per-node', plan.gpuRequest === 'gpus-per-node' ? gpus : undefined],
    ['mem', plan.memoryPerNode],
    ['time', formatTimeLimit(plan.timeLimitMinutes)],
    ['constraint', plan.constraint],
    ['exclude', plan.exclude],
    ['nodelist', plan.nodelist],
    ['dependency', plan.dependency],
    ['exclusive', plan.exclusive],
    ['comment', plan.comment],
    ['signal', `USR2@${plan.signalLeadSeconds}`],
    ['requeue', true],
    ['open-mode', 'append'],
    ['output', `${plan.runFolder}/slurm/%j.out`],
    ['chdir', plan.workingFolder],
    ['export', plan.exported.join(',')],
    ...plan.extra.map(({ key, value }): [string, string | boolean] => [key, value ?? true]),
  ];
  return rows.flatMap(([key, value]): [string, string | undefined][] => {
    if (value === undefined || value === false) return [];
    return [[key, value === true ? undefined : value]];
  });
}

function launchArguments(plan: SubmitPlan, launchFlags: readonly string[]): string[] {
  return [
    `--nnodes=${plan.nodes}`,
    `--nproc=${plan.workersPerNode}`,
    '--rdzv-id="$attempt"',
    '--rdzv-endpoint="file://$run/slurm/rendezvous/$attempt"',
    ...launchFlags,
    plan.task,
    '--output-dir="$run"',
    ...plan.taskFlags.map(quote),
  ];
}

function limitFlags({ limits }: SubmitPlan): string {
  return (
    `--max-timeouts=${limits.timeouts} --max-preemptions=${limits.preemptions} ` +
    `--max-node-failures=${limits.nodeFailures} --max-crashes=${limits.crashes}`
  );
}

/** For a shell: as it is where nothing in it means anything. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** `/runs/%j` becomes `/runs/"$SLURM_JOB_ID"`. */
function withJobId(folder: string): string {
  return folder
    .split('%j')
    .map((part) => (part === '' ? '' : quote(part)))
    .join('"$SLURM_JOB_ID"');
}

/** sbatch reads directives with rules of its own: double quotes and backslashes. */
function quoteDirective(value: string): string {
  return /^[^\s"'\\#]+$/.test(value) ? value : `"${value.replaceAll(/(["\\])/g, '\\$1')}"`;
}
