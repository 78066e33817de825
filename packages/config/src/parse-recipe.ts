// The text of a recipe to checked values, with the line of every mistake.
import { nearestName, SlipError } from '@slip/core';
import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import { type FlagDefinition, PRETRAIN_FLAGS } from './flags.js';
import { flagNamed } from './recipe.js';
import { checkValue } from './values.js';

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
