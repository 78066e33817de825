// The pure parts of slip-submit: plans from flags and profiles, scripts against golden files, what follows an attempt.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { commandLineOf, readFlagFile, resolvePretrainConfig } from '@slip/config';
import { PRETRAIN_FLAGS } from '@slip/config/flags';
import { CLI_FLAGS, LEGACY_FLAGS } from '../cli/common-flags.js';
import { parseArguments } from '../cli/parse-arguments.js';
import { TASKS } from '../cli/task-flags.js';
import { LAUNCH_FLAGS } from '../launch/launch-flags.js';
import { appendEvent } from '../launch/run-store.js';
import { renderBatchScript } from './batch-script.js';
import { diskProblem } from './checks.js';
import { parseJobFacts } from './job-facts.js';
import { restSubmission } from './rest-submission.js';
import { describeSaveBudget, readSaveBudget } from './save-budget.js';
import { flagsFromSbatchVariables, slurmEnvironment } from './slurm-command.js';
import { elementsOf, refuseEqualFolders } from './submit-array.js';
import { SUBMIT_FLAGS } from './submit-flags.js';
import { planSubmission, resolveSubmitFlags } from './submit-plan.js';
import { ownFlags, prepareTask } from './submit-tasks.js';
import { formatTimeLimit, parseTimeLimit } from './time-limit.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const golden = path.join(root, 'test/golden/slurm');
const program = { node: '/usr/bin/node', bin: '/opt/slip/orchestrator/bin' };

/** A command line as a plan, without a machine around it. */
async function planOf(argv: readonly string[]) {
  const definitions = [...CLI_FLAGS, ...LEGACY_FLAGS, ...SUBMIT_FLAGS, ...PRETRAIN_FLAGS];
  const { flags: given } = parseArguments(argv, definitions, ['pretrain']);
  const place = { flag: 'site', folder: path.join(root, 'slurm/sites'), shownFolder: 'slurm/sites/', cwd: '/work' };
  const site = typeof given.site === 'string' ? await readFlagFile(given.site, place, SUBMIT_FLAGS) : {};
  const own = (definitions: readonly { name: string }[]) =>
    Object.fromEntries(Object.entries(given).filter(([name]) => definitions.some((flag) => flag.name === name)));
  const flags = resolveSubmitFlags('pretrain', own(SUBMIT_FLAGS), site);
  const { config } = await resolvePretrainConfig({
    flags: own(PRETRAIN_FLAGS),
    ...(typeof given.recipe === 'string' ? { recipe: given.recipe } : {}),
    launch: { numNodes: flags.nodes as number, nprocPerNode: flags.ngpus as number },
    cwd: '/work',
  });
  const runFolder = String(flags['job-dir'] ?? '/work/runs/%j');
  const taskFlags = commandLineOf(config);
  return planSubmission({ flags, task: 'pretrain', taskFlags, runFolder, workingFolder: '/work', launchFlags: [] });
}

/** Command lines whose scripts are kept. Written anew by `SLIP_UPDATE_GOLDEN=1 node test/run.js submit-parts`. */
const SCRIPTS: Readonly<Record<string, string[]>> = {
  'defaults.sh': ['--recipe', 'slip_vitb16', '--root', '/data/yfcc100m', '--metadata', '/data/yfcc15m.pkl'],
  'original-launcher.sh': [
    ...['--site', 'original', '--recipe', 'slip_vits16', '--ngpus', '8', '--nodes', '4', '--timeout', '1440'],
    ...['--job_dir', '/checkpoint/ann/slip/%j', '--partition', 'dev', '--use_volta32', '--comment', 'for the "paper"'],
  ],
  'everything.sh': [
    ...['--site', 'example', '--nodes', '2', '--ngpus', '4', '--time', '2-12:30:00', '--mem', '500G', '--qos', 'high'],
    ...[
      '--exclude',
      'n[1-3]',
      '--reservation',
      'week',
      '--dependency',
      'afterok:7',
      '--exclusive',
      '--job-name',
      'my run',
    ],
    ...['--job-dir', "/shared/ann's runs/one", '--setup', 'source venv/bin/activate', '--export', 'WANDB_API_KEY'],
    ...[
      '--sbatch',
      'licenses=fs:1',
      '--sbatch',
      'contiguous',
      '--container',
      "apptainer exec --bind '/shared data' slip.sif",
      '--srun',
      'container-image=my image.sqsh',
      '--srun',
      'mpi=none',
      '--max-crashes',
      '2',
      '--lr',
      '1e-3',
      '--betas',
      '0.9',
      '0.95',
    ],
  ],
};

test('batch scripts are as in the golden files', async () => {
  for (const [name, argv] of Object.entries(SCRIPTS)) {
    const script = renderBatchScript(await planOf(argv), program);
    const file = path.join(golden, name);
    if (process.env.SLIP_UPDATE_GOLDEN === '1') {
      mkdirSync(golden, { recursive: true });
      writeFileSync(file, script);
    }
    assert.equal(script, readFileSync(file, 'utf8'), name);
  }
  assert.deepEqual(readdirSync(golden).sort(), Object.keys(SCRIPTS).sort());
});

test('a job that has completed ends at once when Slurm starts it again; no other does', async (context) => {
  const run = mkdtempSync(path.join(os.tmpdir(), 'slip-script-'));
  context.after(() => rmSync(run, { recursive: true, force: true }));
  const script = renderBatchScript(await planOf(['--job-dir', run]), program);
  const beginning = `${script.slice(0, script.indexOf('interrupted=0'))}echo goes on`;
  const start = (jobId: string, restarts?: string) =>
    spawnSync('bash', ['-c', beginning], {
      env: {
        PATH: process.env.PATH,
        SLURM_JOB_ID: jobId,
        ...(restarts === undefined ? {} : { SLURM_RESTART_COUNT: restarts }),
      },
      encoding: 'utf8',
    });
  assert.equal(start('12', '1').stdout, 'goes on\n', 'no events yet');
  await appendEvent(run, { event: 'requeued', jobId: 12 });
  assert.equal(start('12', '1').stdout, 'goes on\n');
  await appendEvent(run, { event: 'completed', jobId: 12, restartCount: 1 });
  assert.deepEqual([start('12', '2').stdout, start('12', '2').status], ['', 0]);
  for (const other of [start('12'), start('1', '2'), start('13', '1')]) assert.equal(other.stdout, 'goes on\n');
});

test('REST gets the same job', async () => {
  const plan = await planOf([...SCRIPTS['original-launcher.sh']!, '--gpu-request', 'gres']);
  const environment = { PATH: '/bin', HOME: '/home/ann', SECRET: 'x' };
  const { script: _script, ...job } = restSubmission(plan, '#!/bin/bash\n', environment);
  assert.deepEqual(job, {
    environment: { PATH: '/bin', HOME: '/home/ann' },
    workingDirectory: '/work',
    name: 'slip',
    nodes: 4,
    tasksPerNode: 1,
    cpusPerTask: 80,
    timeLimitMinutes: 1440,
    signal: { name: 'USR2', secondsBefore: 120 },
    requeue: true,
    openMode: 'append',
    standardOutput: '/checkpoint/ann/slip/%j/slurm/%j.out',
    partition: 'dev',
    constraints: 'volta32gb',
    comment: 'for the "paper"',
    gpusPerNode: 8,
    memoryPerNodeMb: 320 * 1024,
  });
  const extra = await planOf(['--sbatch', 'licenses=fs:1']);
  assert.throws(() => restSubmission(extra, '', {}), { code: 'config', message: /--sbatch licenses.*--via sbatch/ });
});

test('mistakes in job flags name the flag', async () => {
  const wrong: [string[], RegExp][] = [
    [['--time', 'soon'], /--time soon: expected minutes, H:MM:SS or D-HH:MM:SS/],
    [['--timeout', '2', '--signal-lead', '120'], /--signal-lead 120: .*time limit is 2 minutes/],
    [['--mem', 'lots'], /--mem lots: expected a size such as 320G/],
    [['--nodes', '0'], /--nodes is 0; a whole number from 1 to 1024 is wanted/],
    [['--gpu-request', 'tpu'], /--gpu-request is "tpu"; one of gres, gpus-per-node, none is wanted/],
    [['--sbatch', 'output=x'], /slip-submit sets --output itself/],
    [['--sbatch', 'partition=x'], /use --partition of slip-submit/],
    [['--srun', 'ntasks=3'], /--srun ntasks=3: slip-submit sets --ntasks itself/],
    [['--srun', '-n 3'], /--srun -n 3: expected KEY=VALUE with a long option of srun/],
    [['--export', 'A=b'], /--export A=b: expected the name of one variable/],
  ];
  for (const [argv, message] of wrong) await assert.rejects(planOf(argv), { code: 'config', message }, argv.join(' '));
});

test('no job flag stands in the way of a task flag', () => {
  const names = (flags: readonly { name: string; alias?: readonly string[] }[]) =>
    flags.flatMap(({ name, alias = [] }) => [name, ...alias]);
  const task = new Set(names(PRETRAIN_FLAGS));
  assert.deepEqual(
    names(SUBMIT_FLAGS).filter((name) => task.has(name)),
    [],
  );
});

test('classifiers are submitted as runs are: flags, files that have to be there, sizes and plan', async () => {
  const launch = { numNodes: 1, nprocPerNode: 8 };
  const request = (task: string, flags: Record<string, unknown>, recipe: string) => {
    return { task, flags, recipe, launch, cwd: '/home/me', program };
  };
  const data = { 'data-path': '/data/imagenet', pretrained: 'slip_base_100ep' };
  const finetune = await prepareTask(request('finetune', data, 'finetune_vitb16'));
  assert.ok(finetune.taskFlags.includes('--layer-decay=0.65') && finetune.taskFlags.includes('--use-cls'));
  assert.deepEqual(finetune.files, [['data-path', '/data/imagenet']]);
  assert.equal(finetune.checkpointBytes, 86_567_656 * 12);
  assert.match(await finetune.describe('/runs/1'), /beit_base_patch16_224: 12 blocks of width 768/);
  const linear = await prepareTask(request('linear', data, 'linear_imagenet'));
  assert.match(await linear.describe('/runs/2'), /0.00625 \(--lr-rule published\)/);
  for (const task of TASKS) {
    const taken = new Set(LAUNCH_FLAGS.flatMap(({ name, alias = [] }) => [name, ...alias]));
    const names = ownFlags(task).flatMap(({ name, alias = [] }) => [name, ...alias]);
    assert.deepEqual(
      names.filter((name) => taken.has(name)),
      [],
      `${task} has no flag of the launcher`,
    );
  }
});

test("time limits in all of Slurm's forms", () => {
  const forms = { '90': 90, '90:00': 90, '1:30:00': 90, '0:00:30': 1, '1-0': 1440, '1-2:30': 1590, '2-00:00:01': 2881 };
  for (const [text, minutes] of Object.entries(forms)) assert.equal(parseTimeLimit('time', text), minutes, text);
  assert.equal(formatTimeLimit(2800), '1-22:40:00');
  assert.equal(formatTimeLimit(90), '01:30:00');
});

test("another job's variables do not leak into what is submitted; a person's own are taken as defaults", () => {
  const environment = {
    PATH: '/bin',
    SLURM_CONF: '/c',
    SLURM_JOB_ID: '7',
    SLURM_NNODES: '3',
    SBATCH_PARTITION: 'p',
    SBATCH_EXPORT: 'ALL',
  };
  assert.deepEqual(slurmEnvironment(environment), { PATH: '/bin', SLURM_CONF: '/c' });
  assert.deepEqual(flagsFromSbatchVariables(environment), {});
  assert.deepEqual(flagsFromSbatchVariables({ SBATCH_PARTITION: 'p', SBATCH_ACCOUNT: '' }), { partition: 'p' });
});

test('how long a preempted job has to save is read from Slurm', () => {
  const config = 'KillWait                = 30 sec\nPreemptMode             = REQUEUE\n';
  const low = readSaveBudget('PartitionName=low GraceTime=60 PriorityTier=1 PreemptMode=CANCEL State=UP', config);
  assert.deepEqual(low, { preemptMode: 'CANCEL', graceSeconds: 60, killWaitSeconds: 30 });
  assert.equal(
    describeSaveBudget('low', low, 9e9),
    'partition low can be preempted, with 60 s (GraceTime) + 30 s (KillWait) to finish a step and save 9000 MB: ' +
      '100 MB/s and more; PreemptMode=CANCEL: a job that could not save in time comes back only under --follow or slip-submit watch',
  );
  const off = readSaveBudget('PartitionName=main GraceTime=0 PreemptMode=OFF', config);
  assert.equal(describeSaveBudget('main', off, 9e9), undefined);
});

const LINE =
  'JobId=12 JobName=my run UserId=ann(1) JobState=RUNNING Reason=None Dependency=(null) Requeue=1 Restarts=2 ExitCode=0:0 ' +
  'TimeLimit=01:00:00 StartTime=2026-01-01T10:00:00 EndTime=2026-01-01T11:00:00 PreemptTime=None Partition=low ' +
  'ReqNodeList=(null) NodeList=node[01-02] BatchHost=node01 Comment=a b WorkDir=/w StdOut=/w/12.out';

test('the facts of a job are read from one line of scontrol', () => {
  const facts = parseJobFacts(LINE)!;
  assert.deepEqual(
    [
      facts.id,
      facts.name,
      facts.state,
      facts.restarts,
      facts.requeueAllowed,
      facts.partition,
      facts.nodes,
      facts.output,
    ],
    ['12', 'my run', 'RUNNING', 2, true, 'low', 'node[01-02]', '/w/12.out'],
  );
  assert.equal(facts.endTime!.getTime() - facts.startTime!.getTime(), 3_600_000);
  assert.equal(facts.preemptTime, undefined);
  assert.equal(parseJobFacts('slurm_load_jobs error: Invalid job id specified'), undefined);
});

test('an array is one submission a recipe, each in a folder of its own', () => {
  const given = { array: ['slip_vits16', 'my/other.yaml'], 'job-dir': '/runs/x', nodes: 2 };
  assert.deepEqual(elementsOf(given), [
    { ...given, recipe: 'slip_vits16', 'job-name': 'slip-slip_vits16', 'job-dir': '/runs/x/slip_vits16' },
    { ...given, recipe: 'my/other.yaml', 'job-name': 'slip-other', 'job-dir': '/runs/x/other' },
  ]);
  assert.deepEqual(elementsOf({ recipe: 'a' }), [{ recipe: 'a' }]);
  assert.throws(() => elementsOf({ array: ['a'], recipe: 'b' }), { code: 'config', message: /leave out --recipe/ });
  assert.throws(() => elementsOf({ array: ['a'], follow: true }), { code: 'config', message: /--follow watches one/ });
  assert.throws(() => refuseEqualFolders(['/a', '/b', '/a']), { code: 'config', message: /would train in \/a;/ });
  refuseEqualFolders(['/a/%j', '/a/%j']);
});

test('a run whose checkpoints do not fit on the disk is refused', () => {
  assert.equal(diskProblem(2e9, 1e9, '/runs'), undefined);
  assert.equal(diskProblem(undefined, 1e9, '/runs'), undefined);
  assert.equal(diskProblem(0, 0, '/runs'), undefined, 'a task without checkpoints');
  assert.match(diskProblem(1.9e9, 1e9, '/runs')!.message, /^\/runs has 1900 MB free, and two checkpoints of 1000 MB/);
});
