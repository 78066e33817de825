// `<run>/config.json`: what a run is, with a hash of what may not change while it lasts. `<run>/plan.json`: what that amounts to
// with its dataset, for whoever looks on.
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import { hashConfig, identityOf } from './identity.js';
import { describeRows, type Plan, rowsOfRanks } from './plan.js';
import type { ResolvedConfig } from './resolve.js';
import { type AnyConfig, flagsOf } from './tasks.js';
import { checkTraining, type TrainingConfig } from './training-config.js';

/**
 * A run keeps its micro-batches: started again with the same `--batch-size` on another number of ranks, it has the rows that
 * its folder says, spread over these ranks. Anything else is left as it is, a given `--rows-per-micro-batch` too.
 * @throws SlipError `config` when they cannot be spread; `data` when the folder cannot be read
 */
export async function continueRun<C extends TrainingConfig>(resolved: ResolvedConfig<C>): Promise<ResolvedConfig<C>> {
  const { config, rowsAreGiven } = resolved;
  const earlier = (await readIfThere(path.join(config.outputDir, 'config.json')))?.config;
  const rows = earlier?.rowsPerMicroBatch;
  const ranksOf = ({ numNodes, nprocPerNode }: TrainingConfig) => numNodes * nprocPerNode;
  const isSpreadAnew =
    rows !== undefined && rows !== config.rowsPerMicroBatch && !rowsAreGiven && earlier?.batchSize === config.batchSize;
  if (!isSpreadAnew) return resolved;
  const continued = { ...config, rowsPerMicroBatch: rows };
  checkTraining(continued);
  const notice = `the run keeps its ${rows} rows per micro-batch: ${describeRows(rowsOfRanks(continued))} on ${ranksOf(config)} workers`;
  return {
    ...resolved,
    config: continued,
    hash: hashConfig(continued, flagsOf(config.task)),
    notices: [...resolved.notices, notice],
  };
}

/**
 * Writes the configuration, or leaves an equal one.
 * @throws SlipError `config` when the folder holds another run, listing what differs; `data` when it cannot be written
 */
export async function writeRunConfig(config: TrainingConfig, hash: string): Promise<void> {
  const file = path.join(config.outputDir, 'config.json');
  const earlier = await readIfThere(file);
  if (earlier !== undefined && earlier.hash !== hash) throw anotherRun(file, earlier.config, config);
  try {
    await mkdir(config.outputDir, { recursive: true });
    await writeFileAtomic(file, `${JSON.stringify({ hash, config }, null, 2)}\n`);
  } catch (error) {
    throw new SlipError('data', `--output-dir ${config.outputDir} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** @throws SlipError `config` when the file is missing or damaged */
export async function readRunConfig(file: string): Promise<{ config: AnyConfig; hash: string }> {
  const found = await readIfThere(file);
  if (found === undefined) throw new SlipError('config', `${file} is missing; slip-launch writes it`);
  return found;
}

/** Written anew by every attempt: the dataset or --epochs may have changed. @throws SlipError `data` */
export async function writePlan(runFolder: string, plan: Plan): Promise<void> {
  const file = path.join(runFolder, 'plan.json');
  await writeFileAtomic(file, `${JSON.stringify(plan, null, 2)}\n`).catch((error) => {
    throw new SlipError('data', `${file} cannot be written: ${error.message}`, { cause: error });
  });
}

/** Undefined before training has begun. */
export async function readPlan(runFolder: string): Promise<Plan | undefined> {
  try {
    return JSON.parse(await readFile(path.join(runFolder, 'plan.json'), 'utf8'));
  } catch {
    return undefined;
  }
}

async function readIfThere(file: string): Promise<{ config: AnyConfig; hash: string } | undefined> {
  let source: string;
  try {
    source = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SlipError('data', `cannot read ${file}: ${(error as Error).message}; --output-dir has to be a folder`, {
      cause: error,
    });
  }
  try {
    const { config, hash } = JSON.parse(source) as { config?: AnyConfig; hash?: string };
    if (config !== undefined && hash !== undefined) return completed(config, hash);
  } catch {
    // Told below.
  }
  throw new SlipError('config', `${file} is not a run configuration; choose another --output-dir or remove the file`);
}

/** What older folders do not say: they had as many rows on every rank, and exact views. Their hash is of what they say. */
function completed(config: AnyConfig, hash: string): { config: AnyConfig; hash: string } {
  const flags = flagsOf(config.task);
  const hasTransforms = flags.every(({ name }) => name !== 'transforms') || 'transforms' in config;
  if (config.rowsPerMicroBatch !== undefined && hasTransforms) return { config, hash };
  const rowsPerMicroBatch = config.rowsPerMicroBatch ?? config.batchSize * config.numNodes * config.nprocPerNode;
  const upgraded = { ...config, rowsPerMicroBatch, ...(hasTransforms ? {} : { transforms: 'exact' as const }) };
  return { config: upgraded as AnyConfig, hash: hashConfig(upgraded as AnyConfig, flags) };
}

function anotherRun(file: string, earlier: TrainingConfig, now: TrainingConfig): SlipError {
  const [before, after] = [earlier, now].map((config) => identityOf(config, flagsOf(config.task)));
  const differences = Object.keys({ ...before, ...after })
    .filter((key) => JSON.stringify(before[key]) !== JSON.stringify(after[key]))
    .map((key) => `${key} ${JSON.stringify(before[key])} -> ${JSON.stringify(after[key])}`);
  const { rowsPerMicroBatch: rows } = earlier;
  const remedy =
    rows === now.rowsPerMicroBatch
      ? 'give the same settings'
      : `give the same settings, with --rows-per-micro-batch ${rows},`;
  return new SlipError(
    'config',
    `${file} belongs to another run (${differences.join(', ')}); ${remedy} to continue it, or another --output-dir`,
  );
}
