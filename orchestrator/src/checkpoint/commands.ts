// What the commands of slip-checkpoint do, once their flags are understood.
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pruneCheckpoints } from '@slip/checkpoint';
import { SlipError } from '@slip/core';
import {
  averageWeights,
  convertWeights,
  diffWeights,
  fetchPublished,
  type ModelHints,
  openWeights,
  PUBLISHED_MODELS,
  targetNamed,
  verifyWeights,
  type Weights,
} from '@slip/weights';
import { describeDifference, describePublished, describeWeights, weightsFacts } from './describe.js';
import { byteProgress, formatBytes } from './progress.js';

export interface Output {
  readonly json: boolean;
  /** Standard output. */
  readonly write: (text: string) => void;
}

/** Either a path, or the name of a published model to be fetched. */
export interface Source {
  readonly path?: string | undefined;
  readonly pretrained?: string | undefined;
  readonly cache: string;
  readonly mirror?: string | undefined;
}

export async function locate(source: Source, { json }: Output): Promise<string> {
  if (source.pretrained === undefined) {
    if (source.path !== undefined) return source.path;
    throw new SlipError('config', 'a checkpoint is needed: a path, or --pretrained NAME');
  }
  const progress = byteProgress(`downloading ${source.pretrained}`, json);
  try {
    const base = source.mirror === undefined || source.mirror.endsWith('/') ? source.mirror : `${source.mirror}/`;
    return await fetchPublished(source.pretrained, { cacheDir: source.cache, base, onProgress: progress.update });
  } finally {
    progress.close();
  }
}

export async function inspect(source: Source, tensors: boolean, output: Output): Promise<void> {
  await withWeights(await locate(source, output), {}, async (weights) => {
    emit(output, weightsFacts(weights, tensors), () => describeWeights(weights, tensors));
  });
}

/** One checkpoint or file, or every checkpoint of a run. */
export async function verify(source: Source, output: Output): Promise<void> {
  const targets = await expandRun(await locate(source, output));
  const failures: SlipError[] = [];
  const results: unknown[] = [];
  for (const target of targets) {
    const progress = byteProgress(`verifying ${path.basename(target)}`, output.json);
    try {
      const result = await verifyWeights(target, progress.update);
      results.push({ ok: true, ...result });
      if (!output.json) {
        output.write(
          `${target}: good; ${result.tensors} tensors, ${formatBytes(result.bytes)}; ${result.notes.join('; ')}\n`,
        );
      }
    } catch (thrown) {
      const error = SlipError.from(thrown);
      if (error.code === 'internal' || targets.length === 1) throw error;
      failures.push(error);
      results.push({ ok: false, path: target, code: error.code, message: error.message });
      if (!output.json) output.write(`${target}: BAD; ${error.message}\n`);
    } finally {
      progress.close();
    }
  }
  if (output.json) output.write(`${JSON.stringify(results, null, 2)}\n`);
  if (failures.length > 0) {
    throw new SlipError(failures[0].code, `${failures.length} of ${targets.length} checkpoints cannot be trusted`);
  }
}

/** `<run>` and `<run>/checkpoints` stand for all checkpoints in them. */
async function expandRun(target: string): Promise<string[]> {
  if ((await stat(target).catch(() => undefined))?.isDirectory() !== true) return [target];
  for (const folder of [target, path.join(target, 'checkpoints')]) {
    const names = await readdir(folder).catch((): string[] => []);
    const steps = names.filter((name) => /^step-\d{8,}$/.test(name)).sort();
    if (steps.length > 0) return steps.map((name) => path.join(folder, name));
  }
  return [target];
}

export interface ConvertFlags {
  readonly target: string;
  readonly to: string;
  readonly model?: string | undefined;
  readonly visionHeads?: number | undefined;
  readonly textHeads?: number | undefined;
  readonly activation?: 'gelu' | 'quick_gelu' | undefined;
  readonly optimizer?: boolean | undefined;
  readonly force: boolean;
}

export async function convert(source: Source, flags: ConvertFlags, output: Output): Promise<void> {
  targetNamed(flags.to);
  const file = await locate(source, output);
  await withWeights(file, hintsOf(flags), (weights) => write(weights, flags, output));
}

export async function average(sources: readonly string[], flags: ConvertFlags, output: Output): Promise<void> {
  targetNamed(flags.to);
  if (sources.length < 2)
    throw new SlipError('config', `an average needs at least two checkpoints, ${sources.length} given`);
  const all: Weights[] = [];
  try {
    for (const source of sources) all.push(await openWeights(source, hintsOf(flags)));
    await write(averageWeights(all), flags, output);
  } finally {
    for (const weights of all) await weights.close();
  }
}

function hintsOf({ model, visionHeads, textHeads, activation }: ConvertFlags): ModelHints {
  return { name: model, visionHeads, textHeads, activation, textActivation: activation };
}

async function write(weights: Weights, flags: ConvertFlags, output: Output): Promise<void> {
  const progress = byteProgress('writing', output.json);
  const { optimizer, force, to } = flags;
  try {
    const converted = await convertWeights(weights, flags.target, {
      to,
      optimizer,
      force,
      onProgress: progress.update,
    });
    progress.close();
    emit(output, { ...converted, to, from: weights.path }, () =>
      [
        `wrote ${converted.path} (${formatBytes(converted.bytes)})`,
        ...converted.notes.map((note) => `  ${note}`),
        '',
      ].join('\n'),
    );
  } finally {
    progress.close();
  }
}

export async function prune(
  folder: string,
  flags: { keepLast: number; keepEvery: number; dryRun: boolean },
  output: Output,
): Promise<void> {
  for (const [flag, value, least] of [
    ['--keep-last', flags.keepLast, 1],
    ['--keep-every', flags.keepEvery, 0],
  ] as const) {
    if (!Number.isInteger(value) || value < least) {
      throw new SlipError('config', `${flag} ${value} is not a whole number of at least ${least}`);
    }
  }
  const inside = path.join(folder, 'checkpoints');
  const isRun = (await stat(inside).catch(() => undefined))?.isDirectory() === true;
  const pruned = await pruneCheckpoints(isRun ? inside : folder, flags);
  const verb = flags.dryRun ? 'would remove' : 'removed';
  emit(
    output,
    { ...pruned, dryRun: flags.dryRun },
    () => `${verb} ${list(pruned.removed)}\nkept ${list(pruned.kept)}\n`,
  );
}

function list(steps: readonly number[]): string {
  return steps.length === 0 ? 'nothing' : `steps ${steps.join(', ')}`;
}

/** Ends with an error when they differ, so that a script can ask. */
export async function diff(paths: readonly [string, string], limit: number, output: Output): Promise<void> {
  await withWeights(paths[0], {}, (first) =>
    withWeights(paths[1], {}, async (second) => {
      const progress = byteProgress('comparing', output.json);
      const difference = await diffWeights(first, second, progress.update).finally(progress.close);
      emit(output, difference, () => describeDifference(difference, limit));
      const { onlyInFirst, onlyInSecond, otherShape, values } = difference;
      if (onlyInFirst.length + onlyInSecond.length + otherShape.length + values.length > 0) {
        throw new SlipError('checkpoint', `${paths[0]} and ${paths[1]} differ`);
      }
    }),
  );
}

export function published(output: Output): void {
  emit(output, PUBLISHED_MODELS, describePublished);
}

function emit(output: Output, facts: unknown, words: () => string): void {
  output.write(output.json ? `${JSON.stringify(facts, null, 2)}\n` : words());
}

async function withWeights<T>(source: string, hints: ModelHints, use: (weights: Weights) => Promise<T>): Promise<T> {
  const weights = await openWeights(source, hints);
  try {
    return await use(weights);
  } finally {
    await weights.close();
  }
}
