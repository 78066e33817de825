// Recipes: flat YAML files whose keys are flag names, where they are. What is in them is parse-recipe.ts, which a worker never loads.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SlipError } from '@slip/core';
import type { FlagDefinition } from './flags.js';

const RECIPE_FOLDER = fileURLToPath(new URL('../../../configs', import.meta.url));

/**
 * @param recipe a file, or the name of one in `configs/`
 * @param flags those of the task
 * @returns checked values by flag name
 * @throws SlipError `config` naming file, line and key
 */
export function readRecipe(
  recipe: string,
  cwd: string,
  flags: readonly FlagDefinition[],
): Promise<Record<string, unknown>> {
  return readFlagFile(recipe, { flag: 'recipe', folder: RECIPE_FOLDER, shownFolder: 'configs/', cwd }, flags);
}

/**
 * Any flat YAML file of flags: recipes, site profiles.
 * @param name a file ending in .yaml, or the name of one in `folder`
 * @throws SlipError `config` naming flag, file, line and key
 */
export async function readFlagFile(
  name: string,
  place: { readonly flag: string; readonly folder: string; readonly shownFolder: string; readonly cwd: string },
  flags: readonly FlagDefinition[],
): Promise<Record<string, unknown>> {
  const { flag, folder, shownFolder, cwd } = place;
  const file = /\.ya?ml$/.test(name) ? path.resolve(cwd, name) : path.join(folder, `${name}.yaml`);
  const shown = path.relative(cwd, file).startsWith('..') ? file : path.relative(cwd, file);
  let source: string;
  try {
    source = await readFile(file, 'utf8');
  } catch (error) {
    throw new SlipError(
      'config',
      `--${flag} ${name}: cannot read ${shown}; a file ending in .yaml or a name in ${shownFolder} is wanted`,
      {
        cause: error,
      },
    );
  }
  const { parseRecipe } = await import('./parse-recipe.js');
  return parseRecipe(source, shown, flags);
}

/** Hyphens or underscores. */
export function flagNamed(name: string, flags: readonly FlagDefinition[]): FlagDefinition | undefined {
  const kebab = name.replaceAll('_', '-');
  return flags.find((flag) => flag.name === kebab || flag.alias?.includes(kebab) === true);
}
