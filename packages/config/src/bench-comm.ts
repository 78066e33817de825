// The task bench-comm: its flags, and what they resolve to. What is measured and how is the worker's part.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import { configKey, type FlagDefinition } from './flags.js';
import { TRANSPORT_HELP, TRANSPORTS, type Transport } from './transport.js';
import { checkValue } from './values.js';

export const BENCH_OPERATIONS = ['all-reduce', 'reduce-scatter', 'all-gather', 'broadcast'] as const;
export type BenchOperation = (typeof BENCH_OPERATIONS)[number];

const flag = (
  name: string,
  type: FlagDefinition['type'],
  value: unknown,
  description: string,
  options: Partial<FlagDefinition> = {},
): FlagDefinition => ({ name, type, default: value, description, group: 'Bench', ...options });

export const BENCH_COMM_FLAGS: readonly FlagDefinition[] = [
  flag(
    'sizes',
    'string',
    '1K:512M',
    'bytes of the whole buffer, FROM:TO or FROM:TO:FACTOR, with K, M, G (powers of 1024)',
  ),
  flag('op', 'string', 'all-reduce', 'collective', { choices: BENCH_OPERATIONS }),
  flag('iterations', 'number', 0, 'timed rounds per size; 0 chooses by size', { integer: true, min: 0 }),
  flag('json', 'boolean', false, 'a JSON line per size instead of a table'),
  flag('transport', 'string', 'shared', TRANSPORT_HELP, { choices: TRANSPORTS }),
  flag('comm-encryption', 'string', 'auto', 'what ranks send is encrypted: between hosts, always, or never', {
    choices: ['auto', 'on', 'off'],
  }),
  flag('comm-thread', 'string', 'auto', 'collectives run in a thread of their own; auto: as in training', {
    choices: ['auto', 'on', 'off'],
  }),
  flag('comm-timeout', 'number', 60, 'seconds to wait for another rank', { min: 0.1 }),
  flag('output-dir', 'string', '', 'folder for logs; a temporary one unless given'),
];

export interface BenchCommConfig {
  /** Bytes, ascending; multiples of 4. */
  readonly sizes: readonly number[];
  readonly op: BenchOperation;
  readonly iterations: number;
  readonly json: boolean;
  readonly transport: Transport;
  readonly commEncryption: 'auto' | 'on' | 'off';
  readonly commThread: 'auto' | 'on' | 'off';
  readonly commTimeout: number;
  readonly outputDir: string;
}

/** @param flags by kebab-case name, only those given. @throws SlipError `config` naming the flag */
export function resolveBenchComm(flags: Readonly<Record<string, unknown>>): { config: BenchCommConfig; hash: string } {
  const values: Record<string, unknown> = {};
  for (const definition of BENCH_COMM_FLAGS) {
    const raw = flags[definition.name];
    values[configKey(definition.name)] =
      raw === undefined ? definition.default : checkValue(definition, raw, `--${definition.name}`);
  }
  const config = { ...values, sizes: parseSizes(String(values.sizes)) } as unknown as BenchCommConfig;
  // What is printed, and where, is each node's own affair.
  const { json: _json, outputDir: _outputDir, ...shared } = config;
  return { config, hash: createHash('sha256').update(JSON.stringify(shared)).digest('hex') };
}

/** `1K:512M` doubles from size to size, `1K:512M:4` multiplies by 4, `64M` is one size. @throws SlipError `config` */
export function parseSizes(text: string): number[] {
  const match = /^(\d+)([KMG]?)(?::(\d+)([KMG]?)(?::(\d+))?)?$/i.exec(text);
  const bytes = (digits: string, unit: string) =>
    Number(digits) * 1024 ** ['', 'K', 'M', 'G'].indexOf(unit.toUpperCase());
  const first = match === null ? 0 : bytes(match[1], match[2]);
  const last = match?.[3] === undefined ? first : bytes(match[3], match[4]);
  const factor = Number(match?.[5] ?? 2);
  if (first < 4 || last < first || factor < 2 || last > 4 * 1024 ** 3)
    throw new SlipError(
      'config',
      `--sizes ${text}: expected FROM:TO such as 1K:512M, from 4 bytes to 4G, factor at least 2`,
    );
  const sizes: number[] = [];
  for (let size = first; size <= last; size *= factor) sizes.push(Math.floor(size / 4) * 4);
  return sizes;
}

/** Writes `<folder>/config.json`, which says to workers that this is their task. */
export async function writeBenchComm(folder: string, config: BenchCommConfig, hash: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFileAtomic(
    path.join(folder, 'config.json'),
    `${JSON.stringify({ task: 'bench-comm', hash, config }, null, 2)}\n`,
  );
}

/** @returns undefined when the file holds another task. @throws the system's own error, or SyntaxError */
export async function readBenchComm(file: string): Promise<BenchCommConfig | undefined> {
  const { task, config } = JSON.parse(await readFile(file, 'utf8')) as { task?: string; config: BenchCommConfig };
  return task === 'bench-comm' ? config : undefined;
}
