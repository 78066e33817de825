// The configuration of the task zeroshot, and the file of its folder that tells workers of it.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import { configKey } from './flag-definition.js';
import { readRecipe } from './recipe.js';
import type { TaskInput } from './resolve.js';
import { checkValue } from './values.js';
import { ZEROSHOT_FLAGS } from './zeroshot-flags.js';

export interface ZeroShotConfig {
  readonly task: 'zeroshot';
  readonly datasets?: readonly string[];
  readonly catalog: string;
  readonly root: string;
  readonly indexDir: string;
  readonly labels: string;
  readonly templates: string;
  /** Checkpoint folder, file, or published name. */
  readonly resume: string;
  readonly visionHeads?: number;
  readonly textHeads?: number;
  readonly truncate: 'keep-eot' | 'drop-eot';
  readonly outputDir: string;
  readonly restart: boolean;
  readonly batchSize: number;
  readonly threads: number;
  readonly transport: 'shared' | 'zmq';
  readonly commEncryption: 'auto' | 'on' | 'off';
  readonly commThread: 'auto' | 'on' | 'off';
  readonly commTimeout: number;
}

/** @throws SlipError `config` naming the flag, or the recipe's line */
export async function resolveZeroShot({
  flags,
  recipe,
  cwd,
}: Omit<TaskInput, 'launch'>): Promise<{ config: ZeroShotConfig; hash: string }> {
  const values: Record<string, unknown> = { task: 'zeroshot' };
  const fromRecipe = recipe === undefined ? {} : await readRecipe(recipe, cwd, ZEROSHOT_FLAGS);
  for (const flag of ZEROSHOT_FLAGS) {
    const raw = flags[flag.name];
    const value = raw === undefined ? (fromRecipe[flag.name] ?? flag.default) : checkValue(flag, raw, `--${flag.name}`);
    if (value !== undefined) values[configKey(flag.name)] = value;
  }
  const config = withWeights(withSplitNames(values as unknown as ZeroShotConfig));
  if (config.catalog === '' && config.root === '')
    throw new SlipError('config', '--root or --catalog is missing: the folder of the sets, or dataset_catalog.json');
  const shared = Object.fromEntries(
    ZEROSHOT_FLAGS.filter(({ mayChange }) => mayChange !== true).map(({ name }) => [
      name,
      config[configKey(name) as keyof ZeroShotConfig],
    ]),
  );
  return { config, hash: createHash('sha256').update(JSON.stringify(shared)).digest('hex') };
}

/** Names may have commas or spaces between them. */
function withSplitNames(config: ZeroShotConfig): ZeroShotConfig {
  if (config.datasets === undefined) return config;
  return { ...config, datasets: [...new Set(config.datasets.flatMap((names) => names.split(',')))].filter(Boolean) };
}

/** As in the original, the output folder may have the weights. */
function withWeights(config: ZeroShotConfig): ZeroShotConfig {
  if (config.resume !== '') return config;
  const best = path.join(config.outputDir, 'checkpoint_best.pt');
  if (existsSync(best)) return { ...config, resume: best };
  throw new SlipError(
    'config',
    `--resume is missing: a checkpoint folder, a file of weights or a published model (there is no ${best} either)`,
  );
}

/**
 * Writes `<folder>/config.json`, which says to workers that this is their task.
 * @throws SlipError `config` where the folder belongs to another task, `data` when it cannot be written
 */
export async function writeZeroShot(config: ZeroShotConfig, hash: string): Promise<void> {
  const file = path.join(config.outputDir, 'config.json');
  const earlier = await readZeroShot(file).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOENT' ? config : undefined,
  );
  if (earlier === undefined)
    throw new SlipError('config', `--output-dir ${config.outputDir} is the folder of another task; choose another one`);
  try {
    await mkdir(config.outputDir, { recursive: true });
    await writeFileAtomic(file, `${JSON.stringify({ task: 'zeroshot', hash, config }, null, 2)}\n`);
  } catch (error) {
    throw new SlipError('data', `--output-dir ${config.outputDir} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** @returns undefined when the file holds another task. @throws the system's own error, or SyntaxError */
export async function readZeroShot(file: string): Promise<ZeroShotConfig | undefined> {
  const { task, config } = JSON.parse(await readFile(file, 'utf8')) as { task?: string; config: ZeroShotConfig };
  return task === 'zeroshot' ? config : undefined;
}
