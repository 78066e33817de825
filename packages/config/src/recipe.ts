// Recipes: flat YAML files whose keys are flag names. Reading and checking, with the line of every mistake.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { nearestName, SlipError } from '@slip/core';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { type FlagDefinition, PRETRAIN_FLAGS } from './flags.js';
import { checkValue } from './values.js';

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
  return parseRecipe(source, shown, flags);
}

export function parseRecipe(
  source: string,
  shown: string,
  flags: readonly FlagDefinition[] = PRETRAIN_FLAGS,
): Record<string, unknown> {
  const lines = new LineCounter();
  const document = parseDocument(source, { lineCounter: lines });
  const [problem] = document.errors;
  if (problem !== undefined)
    throw new SlipError('config', `${shown}:${lines.linePos(problem.pos[0]).line}: ${problem.message.split('\n')[0]}`);
  if (document.contents === null) return {};
  if (!isMap(document.contents)) throw new SlipError('config', `${shown} is not a list of "key: value" lines`);
  const values: Record<string, unknown> = {};
  for (const { key, value } of document.contents.items) {
    const name = isScalar(key) ? String(key.value) : String(key);
    const line = isScalar(key) && key.range ? lines.linePos(key.range[0]).line : 0;
    const flag = flagNamed(name, flags);
    if (flag === undefined) throw unknownKey(name, `${shown}:${line}`, flags);
    const raw = (value as { toJSON?: () => unknown } | null)?.toJSON?.() ?? null;
    values[flag.name] = checkValue(flag, raw, `${shown}:${line}: ${name}`);
  }
  return values;
}

/** Hyphens or underscores. */
export function flagNamed(name: string, flags: readonly FlagDefinition[]): FlagDefinition | undefined {
  const kebab = name.replaceAll('_', '-');
  return flags.find((flag) => flag.name === kebab || flag.alias?.includes(kebab) === true);
}

function unknownKey(name: string, where: string, flags: readonly FlagDefinition[]): SlipError {
  const nearest = nearestName(
    name.replaceAll('_', '-'),
    flags.map((flag) => flag.name),
  );
  return new SlipError(
    'config',
    `${where}: unknown key "${name}"${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
  );
}
