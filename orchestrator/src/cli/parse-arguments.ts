// Command lines to flag values: hyphens or underscores, flags before or after the task, unknown ones answered with the
// nearest valid name. Pure; what the flags mean is decided elsewhere.

import type { FlagDefinition } from '@slip/config/flags';
import { nearestName, SlipError } from '@slip/core';

export interface ParsedArguments {
  /** The first word that is not a flag, if any. */
  readonly task?: string;
  /** By kebab-case name, only those given. */
  readonly flags: Readonly<Record<string, unknown>>;
}

/**
 * @param tasks words that end a list flag's values when no task has been named yet
 * @throws SlipError `config` naming the flag
 */
export function parseArguments(
  argv: readonly string[],
  definitions: readonly FlagDefinition[],
  tasks: readonly string[],
): ParsedArguments {
  const byName = indexFlags(definitions);
  const flags: Record<string, unknown> = {};
  const words: string[] = [];
  const isTask = (word: string): boolean => words.length === 0 && tasks.includes(word);
  for (let i = 0; i < argv.length; ) {
    const argument = argv[i++]!;
    if (!looksLikeFlag(argument)) {
      words.push(argument);
      continue;
    }
    const { name, attached } = splitFlag(argument, byName);
    const found = findFlag(name, byName);
    if (found === undefined) throw unknownFlag(argument, name, byName);
    const { flag, negated } = found;
    const shown = `--${flag.name}`;
    if (flag.type === 'boolean') flags[flag.name] = readBoolean(shown, attached) !== negated;
    else if (flag.repeatable === true) {
      const value = attached ?? argv[i++];
      if (value === undefined) throw new SlipError('config', `${shown} needs a value`);
      flags[flag.name] = [...((flags[flag.name] as string[] | undefined) ?? []), value];
    } else if (flag.type === 'array') {
      const values = attached === undefined ? [] : attached.split(',');
      while (attached === undefined && i < argv.length && !looksLikeFlag(argv[i]!) && !isTask(argv[i]!))
        values.push(argv[i++]!);
      if (values.length === 0) throw new SlipError('config', `${shown} needs at least one value`);
      flags[flag.name] = values;
    } else {
      const value = attached ?? argv[i++];
      if (value === undefined || (attached === undefined && looksLikeFlag(value)))
        throw new SlipError('config', `${shown} needs a value`);
      flags[flag.name] = isPlainNumber(flag) ? readNumber(shown, value) : value;
    }
  }
  const [task, ...more] = words;
  const positional = definitions.find((flag) => flag.positional === true);
  if (more.length > 0 && positional === undefined)
    throw new SlipError('config', `unexpected argument "${more[0]}" after the task "${task}"`);
  if (more.length > 0)
    flags[positional!.name] = [...((flags[positional!.name] as string[] | undefined) ?? []), ...more];
  return { ...(task === undefined ? {} : { task }), flags };
}

/** Defaults from the environment, as torchrun has them: `PET_NPROC_PER_NODE` for `--nproc-per-node`. */
export function flagsFromEnvironment(
  definitions: readonly FlagDefinition[],
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, unknown> {
  const flags: Record<string, unknown> = {};
  for (const flag of definitions) {
    for (const name of [flag.name, ...(flag.alias ?? [])]) {
      const variable = `PET_${name.replaceAll('-', '_').toUpperCase()}`;
      const value = environment[variable];
      if (value === undefined) continue;
      if (flag.type === 'boolean') flags[flag.name] = readBoolean(variable, value);
      else if (isPlainNumber(flag)) flags[flag.name] = readNumber(variable, value);
      else flags[flag.name] = flag.type === 'array' ? value.split(/[,\s]+/) : value;
    }
  }
  return flags;
}

type FlagIndex = ReadonlyMap<string, FlagDefinition>;

function indexFlags(definitions: readonly FlagDefinition[]): FlagIndex {
  const index = new Map<string, FlagDefinition>();
  for (const flag of definitions) for (const name of [flag.name, ...(flag.alias ?? [])]) index.set(kebab(name), flag);
  return index;
}

function kebab(name: string): string {
  return name.replaceAll('_', '-');
}

/** Numbers such as -1 and 1e-3 with a sign are values, not flags. */
function looksLikeFlag(word: string): boolean {
  return word.length > 1 && word.startsWith('-') && !/^-[\d.]/.test(word);
}

/** `--name=value`, `--name`, `-n`, `-n=value`, `-nVALUE`. */
function splitFlag(argument: string, index: FlagIndex): { name: string; attached?: string } {
  const equals = argument.indexOf('=');
  const head = equals === -1 ? argument : argument.slice(0, equals);
  const attached = equals === -1 ? {} : { attached: argument.slice(equals + 1) };
  if (head.startsWith('--')) return { name: kebab(head.slice(2)), ...attached };
  const letter = head[1]!;
  if (head.length > 2 && index.has(letter) && !index.has(kebab(head.slice(1))))
    return { name: letter, attached: argument.slice(2) };
  return { name: kebab(head.slice(1)), ...attached };
}

function findFlag(name: string, index: FlagIndex): { flag: FlagDefinition; negated: boolean } | undefined {
  const flag = index.get(name);
  if (flag !== undefined) return { flag, negated: false };
  const positive = name.startsWith('no-') ? index.get(name.slice(3)) : undefined;
  return positive?.type === 'boolean' ? { flag: positive, negated: true } : undefined;
}

function unknownFlag(argument: string, name: string, index: FlagIndex): SlipError {
  const visible = [...index].filter(([key, flag]) => key.length > 1 && flag.hidden !== true).map(([key]) => key);
  const nearest = nearestName(name, visible);
  const hint = nearest === undefined ? 'see --help' : `did you mean --${nearest}?`;
  return new SlipError('config', `unknown flag ${argument.split('=')[0]}; ${hint}`);
}

function readBoolean(shown: string, text: string | undefined): boolean {
  if (text === undefined || ['true', '1', 'yes'].includes(text.toLowerCase())) return true;
  if (['false', '0', 'no'].includes(text.toLowerCase())) return false;
  throw new SlipError('config', `${shown} is a switch; found the value "${text}"`);
}

/** Those with a unit are read where values are checked. */
function isPlainNumber({ type, percent }: FlagDefinition): boolean {
  return type === 'number' && percent !== true;
}

function readNumber(shown: string, text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (!Number.isFinite(value)) throw new SlipError('config', `${shown} needs a number, found "${text}"`);
  return value;
}
