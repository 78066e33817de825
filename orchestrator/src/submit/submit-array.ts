// `--array RECIPE...`: one submission a recipe. Each is a job and a run folder of its own, so that it is requeued, watched and
// cancelled by itself; elements of one Slurm array would share a script, a size and a time limit. Pure.
import path from 'node:path';
import { SlipError } from '@slip/core';

type Values = Readonly<Record<string, unknown>>;

/** What was typed, once for each recipe; as it is without --array. @throws SlipError `config` */
export function elementsOf(given: Values): Values[] {
  const recipes = given.array as readonly string[] | undefined;
  if (recipes === undefined) return [given];
  for (const flag of ['recipe', 'follow'])
    if (given[flag] !== undefined && given[flag] !== false)
      throw new SlipError(
        'config',
        flag === 'recipe'
          ? '--array names the recipes: leave out --recipe'
          : '--follow watches one run: use slip-submit watch RUN for each of an array',
      );
  const jobDir = given['job-dir'];
  return recipes.map((recipe) => {
    const name = path.basename(recipe).replace(/\.ya?ml$/, '');
    return {
      ...given,
      recipe,
      'job-name': `${given['job-name'] ?? 'slip'}-${name}`,
      ...(typeof jobDir === 'string' ? { 'job-dir': path.join(jobDir, name) } : {}),
    };
  });
}

/** Two jobs in one run folder would overwrite each other. @throws SlipError `config` */
export function refuseEqualFolders(folders: readonly string[]): void {
  const twice = folders.find((folder, i) => !folder.includes('%j') && folders.indexOf(folder) !== i);
  if (twice !== undefined)
    throw new SlipError(
      'config',
      `--array: two recipes would train in ${twice}; give --job-dir, beneath which each has a folder of its name`,
    );
}
