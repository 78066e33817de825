// What a flag is, and short ways to write one down. The tables are in flags.ts (pre-training), linear.ts, finetune.ts and
// run-flags.ts (what all of them have).

export interface FlagDefinition {
  /** Kebab-case, without dashes; also the key in recipes. */
  readonly name: string;
  readonly alias?: readonly string[];
  readonly type: 'string' | 'number' | 'boolean' | 'array';
  readonly description: string;
  /** Absent: not set unless given. */
  readonly default?: unknown;
  /** Title under which the help page lists it. */
  readonly group?: string;
  readonly choices?: readonly string[];
  /** Numbers: lowest and highest value allowed. */
  readonly min?: number;
  readonly max?: number;
  readonly integer?: boolean;
  /** Numbers that may be written with a percent sign. */
  readonly percent?: boolean;
  /** Arrays: how many numbers. */
  readonly length?: number;
  /** Arrays of texts, not numbers. */
  readonly texts?: boolean;
  /** Arrays: may be given several times, which adds up. */
  readonly repeatable?: boolean;
  /** Repeatable arrays: words after the task are values too. */
  readonly positional?: boolean;
  /** May change between attempts of one run: not part of its identity. */
  readonly mayChange?: boolean;
  readonly hidden?: boolean;
}

/** The key of a flag in the run configuration: `ssl-mlp-dim` becomes `sslMlpDim`. */
export function configKey(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}

type Options = Partial<FlagDefinition>;

export const text = (name: string, value: string | undefined, description: string, options: Options = {}) =>
  define(name, 'string', value, description, options);
export const count = (name: string, value: number | undefined, description: string, options: Options = {}) =>
  define(name, 'number', value, description, { integer: true, min: 0, ...options });
export const real = (name: string, value: number, description: string, options: Options = {}) =>
  define(name, 'number', value, description, { min: 0, ...options });
export const toggle = (name: string, description: string, options: Options = {}) =>
  define(name, 'boolean', false, description, options);

export function define(
  name: string,
  type: FlagDefinition['type'],
  value: unknown,
  description: string,
  options: Options,
): FlagDefinition {
  return { name, type, description, group: '', ...(value === undefined ? {} : { default: value }), ...options };
}

export function group(title: string, flags: readonly FlagDefinition[]): FlagDefinition[] {
  return flags.map((flag) => ({ ...flag, group: title }));
}

/** Of what is counted and may not be none. */
export const size = { min: 1 };
