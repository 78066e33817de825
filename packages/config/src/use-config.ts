// The configurations of the tasks that use a model and train nothing, and the run folder's file that tells workers of one.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SlipError, writeFileAtomic } from '@slip/core';
import { configKey, type FlagDefinition } from './flag-definition.js';
import { readRecipe } from './recipe.js';
import type { Transport } from './transport.js';
import { isUseTask, USE_FLAGS, type UseTaskName } from './use-flags.js';
import { checkValue } from './values.js';

interface ModelUse {
  /** Checkpoint folder, file, or published name. */
  readonly resume: string;
  readonly visionHeads?: number;
  readonly textHeads?: number;
  readonly truncate: 'keep-eot' | 'drop-eot';
  readonly outputDir: string;
  readonly threads: number;
  readonly transport: Transport;
  readonly commEncryption: 'auto' | 'on' | 'off';
  readonly commThread: 'auto' | 'on' | 'off';
  readonly commTimeout: number;
}

export interface EmbedConfig extends ModelUse {
  readonly task: 'embed';
  readonly images: string;
  readonly texts: string;
  readonly batchSize: number;
  readonly safetensors: boolean;
}

export interface RetrieveConfig extends ModelUse {
  readonly task: 'retrieve';
  readonly embedded: string;
  readonly query?: readonly string[];
  readonly image?: readonly string[];
  readonly topK: number;
  readonly json: boolean;
}

export interface PredictConfig extends ModelUse {
  readonly task: 'predict';
  readonly image: readonly string[];
  readonly labels: string;
  readonly labelsFile: string;
  readonly template: string;
  readonly topK: number;
  readonly json: boolean;
}

export interface RecallConfig extends ModelUse {
  readonly task: 'recall';
  readonly images: string;
  readonly captions: string;
  readonly captionsPerImage: number;
  readonly batchSize: number;
}

export interface ZeroShotConfig extends ModelUse {
  readonly task: 'zeroshot';
  readonly datasets?: readonly string[];
  readonly catalog: string;
  readonly root: string;
  readonly indexDir: string;
  readonly labels: string;
  readonly templates: string;
  readonly restart: boolean;
  readonly saveScores: boolean;
  readonly batchSize: number;
}

/** Told apart by `task`. */
export type UseConfig = EmbedConfig | RetrieveConfig | PredictConfig | RecallConfig | ZeroShotConfig;

/**
 * @param flags by kebab-case name, only those given
 * @returns the hash is of everything but where the output goes
 * @throws SlipError `config` naming the flag or the recipe's line
 */
export async function resolveUse(
  task: UseTaskName,
  { flags, recipe, cwd }: { flags: Readonly<Record<string, unknown>>; recipe?: string; cwd: string },
): Promise<{ config: UseConfig; hash: string }> {
  const definitions: readonly FlagDefinition[] = USE_FLAGS[task];
  const given = recipe === undefined ? {} : await readRecipe(recipe, cwd, definitions);
  const values: Record<string, unknown> = { task };
  for (const flag of definitions) {
    const raw = flags[flag.name];
    const value = raw === undefined ? (given[flag.name] ?? flag.default) : checkValue(flag, raw, `--${flag.name}`);
    if (value !== undefined) values[configKey(flag.name)] = value;
  }
  if (task === 'zeroshot') settleZeroShot(values);
  const config = values as unknown as UseConfig;
  checkUse(config);
  const { outputDir: _outputDir, ...rest } = config;
  return { config, hash: createHash('sha256').update(JSON.stringify(rest)).digest('hex') };
}

/** Names may have commas between them; as in the original, the output folder may have the weights. */
function settleZeroShot(values: Record<string, unknown>): void {
  const { datasets, resume, outputDir } = values;
  if (datasets !== undefined)
    values.datasets = [...new Set((datasets as string[]).flatMap((names) => names.split(',')))].filter(Boolean);
  const best = path.join(String(outputDir), 'checkpoint_best.pt');
  if (resume === '' && existsSync(best)) values.resume = best;
}

function checkUse(config: UseConfig): void {
  if (config.task !== 'retrieve') {
    need(config.resume, '--resume', 'the model: a checkpoint folder, a .pt file, or the name of a published model');
  }
  switch (config.task) {
    case 'embed':
      need(config.outputDir, '--output-dir', 'the folder for the features');
      need(config.images || config.texts, '--images or --texts', 'a folder of pictures, or a file with a text a line');
      break;
    case 'retrieve':
      need(config.embedded, '--embedded', 'the folder that embed has written');
      break;
    case 'predict':
      need(config.image?.join('') ?? '', 'the picture', 'slip-launch predict IMAGE... --labels "a dog, a cat"');
      checkLabels(config);
      break;
    case 'recall':
      need(config.images, '--images', 'the folder of the pictures');
      need(config.captions, '--captions', 'captions_val2017.json of COCO, or a file of that form');
      need(config.outputDir, '--output-dir', 'the folder for the features');
      break;
    case 'zeroshot':
      need(config.root || config.catalog, '--root or --catalog', 'the folder of the sets, or dataset_catalog.json');
      break;
    default:
      config satisfies never;
  }
}

function checkLabels({ labels, labelsFile, template }: PredictConfig): void {
  need(labels || labelsFile, '--labels', 'what to choose from, such as --labels "a dog, a cat"');
  if (labels !== '' && labelsFile !== '')
    throw new SlipError('config', '--labels and --labels-file are both given; leave one out');
  if (!template.includes('{}'))
    throw new SlipError('config', `--template ${JSON.stringify(template)} has no {} where the label goes`);
}

function need(value: string, flag: string, what: string): void {
  if (value === '') throw new SlipError('config', `${flag} is missing: ${what}`);
}

/**
 * Writes `<folder>/config.json`, which says to workers that this is their task.
 * @throws SlipError `config` where the folder belongs to a training, `data` when it cannot be written
 */
export async function writeUse(folder: string, config: UseConfig, hash: string): Promise<void> {
  const file = path.join(folder, 'config.json');
  const found = await readTask(file).catch(() => undefined);
  if (found !== undefined && !isUseTask(found.task ?? 'pretrain')) {
    throw new SlipError(
      'config',
      `--output-dir ${folder} is the run folder of another task (${found.task ?? 'a training'}); choose another folder`,
    );
  }
  try {
    await mkdir(folder, { recursive: true });
    await writeFileAtomic(file, `${JSON.stringify({ task: config.task, hash, config }, null, 2)}\n`);
  } catch (error) {
    throw new SlipError('data', `--output-dir ${folder} cannot be written: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** @returns undefined when the file holds another task. @throws the system's own error, or SyntaxError */
export async function readUse(file: string): Promise<UseConfig | undefined> {
  const { task, config } = await readTask(file);
  return task !== undefined && isUseTask(task) ? config : undefined;
}

async function readTask(file: string): Promise<{ task?: string; config: UseConfig }> {
  return JSON.parse(await readFile(file, 'utf8'));
}
