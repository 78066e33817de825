// The flags of slip-submit that are about the job, not about training. Also the keys of site profiles. Data only.
import type { FlagDefinition } from '@slip/config';

type Options = Partial<FlagDefinition>;

/** Where a task's job is not like that of pre-training: one node, as in the original's launchers of linear and fine-tuning. */
const TASK_DEFAULTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  pretrain: {},
  linear: { nodes: 1, timeout: 1800, 'job-name': 'linear' },
  'bench-comm': { timeout: 30, 'signal-lead': 60, 'job-name': 'bench-comm' },
};

/** The table with the defaults of a task. */
export function submitFlagsOf(task: string): readonly FlagDefinition[] {
  const usual = TASK_DEFAULTS[task] ?? { nodes: 1, 'job-name': task };
  return SUBMIT_FLAGS.map((flag) => (flag.name in usual ? { ...flag, default: usual[flag.name] } : flag));
}

const text = (name: string, description: string, options: Options = {}): FlagDefinition => ({
  name,
  type: 'string',
  description,
  group: 'Job',
  ...options,
});
const count = (
  name: string,
  value: number | undefined,
  description: string,
  options: Options = {},
): FlagDefinition => ({
  name,
  type: 'number',
  integer: true,
  min: 0,
  description,
  group: 'Job',
  ...(value === undefined ? {} : { default: value }),
  ...options,
});
const toggle = (name: string, description: string, options: Options = {}): FlagDefinition => ({
  name,
  type: 'boolean',
  description,
  group: 'Job',
  ...options,
});
const list = (name: string, description: string): FlagDefinition => ({
  name,
  type: 'array',
  texts: true,
  repeatable: true,
  description,
  group: 'Job',
});

export const SUBMIT_FLAGS: readonly FlagDefinition[] = [
  count('nodes', 8, 'nodes', { alias: ['nnodes'], min: 1, max: 1024 }),
  count('ngpus', 8, 'GPUs, and workers, per node', { alias: ['gpus-per-node'], min: 1, max: 1024 }),
  count('cpus-per-task', 10, 'cores per worker', { min: 1 }),
  text('mem', 'memory per node, such as 320G'),
  text('mem-per-gpu', 'memory per worker, such as 40G, when --mem is not given'),
  count('timeout', 2800, 'time limit in minutes', { min: 1 }),
  text('time', "time limit in Slurm's form: minutes, H:MM:SS or D-HH:MM:SS; wins over --timeout"),
  text('partition', "partition; the site's own default when not given"),
  text('account', 'account to charge', { alias: ['A'] }),
  text('qos', 'quality of service'),
  text('constraint', 'features that nodes must have', { alias: ['C'] }),
  toggle('use-volta32', 'the same as --constraint volta32gb'),
  text('exclude', 'nodes not to use'),
  text('nodelist', 'nodes to use', { alias: ['w'] }),
  text('reservation', 'reservation to run in'),
  text('dependency', 'jobs to wait for, such as afterok:123'),
  toggle('exclusive', 'nodes that nobody else uses'),
  text('comment', 'comment, as squeue shows it'),
  text('job-name', 'name, as squeue shows it', { default: 'slip' }),
  text('job-dir', 'run folder; %j becomes the id of the job (default: the run folder of the recipe, or runs/%j)'),
  text('gpu-request', 'how this site asks for GPUs', {
    choices: ['gres', 'gpus-per-node', 'none'],
    default: 'gpus-per-node',
  }),
  text('gpu-type', 'type of GPU as this site calls it, such as a100'),
  count('signal-lead', 120, 'seconds before the time limit at which the job is asked to save and go on later', {
    min: 1,
  }),
  list('setup', 'a line of shell to run first, such as "module load node"; may be given several times'),
  text('container', 'a command that runs slip-launch in a container, such as "apptainer exec --bind /data slip.sif"'),
  list('srun', 'any other option of srun, as KEY=VALUE or KEY, such as container-image=slip.sqsh; may be repeated'),
  list('export', 'a variable of this shell that the job shall see; may be given several times'),
  list('sbatch', 'any other option of sbatch, as KEY=VALUE or KEY; may be given several times'),
  count('max-timeouts', 30, 'how often the job goes on after its time limit', { group: 'Coming back' }),
  count('max-preemptions', 30, 'how often it goes on after a preemption', { group: 'Coming back' }),
  count('max-node-failures', 10, 'how often it goes on after a lost node', { group: 'Coming back' }),
  count(
    'max-crashes',
    0,
    'how often it goes on when a worker crashed and the restarts of slip-launch did not mend it',
    {
      group: 'Coming back',
    },
  ),
  text('site', 'defaults for a cluster: a file, or a name in slurm/sites/', { group: 'Submitting' }),
  text('via', 'how to reach Slurm', { choices: ['auto', 'sbatch', 'rest'], default: 'auto', group: 'Submitting' }),
  text('rest-url', 'slurmrestd: unix:/SOCKET or http(s)://HOST:PORT (default: SLURMRESTD_SOCKET, SLURMRESTD_URL)', {
    group: 'Submitting',
  }),
];
