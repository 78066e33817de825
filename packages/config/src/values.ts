// One raw value of a flag or recipe key to a checked one. Pure.
import { SlipError } from '@slip/core';
import type { FlagDefinition } from './flags.js';

/**
 * @param where how the value is called in messages: `--lr`, or `configs/x.yaml:7: lr`
 * @throws SlipError `config` that says what was found and what is allowed
 */
export function checkValue(flag: FlagDefinition, raw: unknown, where: string): unknown {
  switch (flag.type) {
    case 'number':
      return checkNumber(flag, raw, where);
    case 'array':
      return flag.texts === true ? checkTexts(raw, where) : checkNumbers(flag, raw, where);
    case 'boolean':
      if (typeof raw === 'boolean') return raw;
      throw wrong(where, raw, 'true or false');
    case 'string': {
      const value = typeof raw === 'number' ? String(raw) : raw;
      if (typeof value !== 'string') throw wrong(where, raw, 'a text');
      if (flag.choices !== undefined && !flag.choices.includes(value))
        throw wrong(where, raw, `one of ${flag.choices.join(', ')}`);
      return value;
    }
    default:
      return flag.type satisfies never;
  }
}

function checkNumber(flag: FlagDefinition, raw: unknown, where: string): number {
  // The YAML core schema reads 1e-3 as a number; quoted or from a shell it is a text.
  const value = typeof raw === 'string' && raw.trim() !== '' ? Number(withoutUnit(flag, raw)) : raw;
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY, integer = false } = flag;
  const fits = typeof value === 'number' && Number.isFinite(value) && value >= min && value <= max;
  if (!fits || (integer && !Number.isInteger(value))) throw wrong(where, raw, allowedNumbers(flag));
  return value;
}

/** `2%` as `2`, where the flag allows it. */
export function withoutUnit({ percent }: FlagDefinition, text: string): string {
  return percent === true ? text.replace(/\s*%\s*$/, '') : text;
}

function checkNumbers(flag: FlagDefinition, raw: unknown, where: string): number[] {
  if (!Array.isArray(raw) || raw.length !== flag.length) throw wrong(where, raw, `${flag.length} numbers`);
  return raw.map((item) => checkNumber(flag, item, where));
}

function checkTexts(raw: unknown, where: string): string[] {
  const list = typeof raw === 'string' ? [raw] : raw;
  if (!Array.isArray(list)) throw wrong(where, raw, 'a list of texts');
  return list.map((item) => {
    if (typeof item === 'string' || typeof item === 'number') return String(item);
    throw wrong(where, raw, 'a list of texts');
  });
}

function allowedNumbers({ min, max, integer }: FlagDefinition): string {
  const kind = integer === true ? 'a whole number' : 'a number';
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`;
  if (min !== undefined) return `${kind} of at least ${min}`;
  return kind;
}

function wrong(where: string, found: unknown, wanted: string): SlipError {
  return new SlipError('config', `${where} is ${JSON.stringify(found)}; ${wanted} is wanted`);
}
