// From what was typed, the site's profile and the shell's variables to the plan of a job: where slip-submit and its doctor agree.
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FlagDefinition } from '@slip/config/flags';
import type { Logger } from '@slip/core';
import type { ProgramPlace } from './batch-script.js';
import { SUBMIT_FLAGS } from './submit-flags.js';
import { DEFAULT_RUN_FOLDER, ownFlags, prepareTask } from './submit-tasks.js';

const SITE_FOLDER = fileURLToPath(new URL('../../../slurm/sites', import.meta.url));

/** Of slip-launch, those that the batch script does not set itself. */
export const PASSED_ON = [
  'max-restarts',
  'rdzv-conf',
  'comm-interface',
  'role',
  'log-dir',
  'redirects',
  'tee',
  'local-ranks-filter',
];

type Values = Readonly<Record<string, unknown>>;

/** @throws SlipError naming the flag */
export async function makePlan(
  name: string,
  given: Values,
  { environment, program, log }: { environment: NodeJS.ProcessEnv; program: ProgramPlace; log: Logger },
) {
  const { readFlagFile } = await import('@slip/config');
  const { planSubmission, resolveSubmitFlags } = await import('./submit-plan.js');
  const { flagsFromSbatchVariables } = await import('./slurm-command.js');
  const cwd = process.cwd();
  const site =
    typeof given.site === 'string'
      ? await readFlagFile(
          given.site,
          { flag: 'site', folder: SITE_FOLDER, shownFolder: 'slurm/sites/', cwd },
          SUBMIT_FLAGS,
        )
      : {};
  const variables = flagsFromSbatchVariables(environment);
  for (const [name, value] of Object.entries(variables))
    if (given[name] === undefined && site[name] === undefined)
      log.info(`--${name} ${value} is taken from SBATCH_${name.toUpperCase()}`);
  const flags = resolveSubmitFlags(name, pick(given, SUBMIT_FLAGS), { ...variables, ...site });
  const jobDir = flags['job-dir'];
  const hasJobDir = typeof jobDir === 'string' && jobDir !== '';
  const task = await prepareTask({
    task: name,
    flags: pick(given, ownFlags(name)),
    ...(typeof given.recipe === 'string' ? { recipe: given.recipe } : {}),
    ...(hasJobDir ? { jobDir } : {}),
    launch: { numNodes: flags.nodes as number, nprocPerNode: flags.ngpus as number },
    cwd,
    program,
  });
  for (const notice of task.notices) log.info(notice);
  for (const warning of task.warnings) log.warn(warning);
  const launchFlags = PASSED_ON.flatMap((flag) => (given[flag] === undefined ? [] : [`--${flag}=${given[flag]}`]));
  // The launchers of the original: --job_dir is the run folder. Without it, that of flags or recipe, when they name one.
  const runFolder = path.resolve(cwd, hasJobDir ? jobDir : (task.runFolder ?? DEFAULT_RUN_FOLDER));
  const { taskFlags } = task;
  return {
    task,
    plan: planSubmission({ flags, task: name, taskFlags, runFolder, workingFolder: cwd, launchFlags }),
  };
}

function pick(flags: Values, definitions: readonly FlagDefinition[]): Record<string, unknown> {
  const names = new Set(definitions.map(({ name }) => name));
  return Object.fromEntries(Object.entries(flags).filter(([name]) => names.has(name)));
}
