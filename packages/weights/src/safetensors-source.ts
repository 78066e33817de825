// Tensors in safetensors files and in checkpoint folders of ours, as places on disk.
import { type FileHandle, open, readFile } from 'node:fs/promises';
import path from 'node:path';
import { openCheckpoint, readSafetensorsHeader, type SafetensorsEntry } from '@slip/checkpoint';
import { SlipError } from '@slip/core';
import type { Activation } from '@slip/model/architecture';
import type { ModelHints } from './model-description.js';
import type { TrainingFacts } from './open-weights.js';
import { ELEMENT_BYTES, type ElementType, type StoredTensor, tensorInFile } from './stored-tensor.js';

export interface TensorsOnDisk {
  readonly tensors: readonly StoredTensor[];
  readonly moments?: readonly StoredTensor[];
  close(): Promise<void>;
}

/** @throws SlipError `checkpoint` */
export async function openSafetensors(file: string): Promise<TensorsOnDisk> {
  const { tensors } = await readSafetensorsHeader(file);
  return openPlaces(tensors.map((entry) => ({ path: file, entry })));
}

/** A `step-...` folder; its files have been checked against the manifest's sizes, not read. */
export async function openOwnCheckpoint(
  folder: string,
): Promise<TensorsOnDisk & { facts: TrainingFacts; hints: ModelHints; notes: readonly string[] }> {
  const checkpoint = await openCheckpoint(folder, { verify: false });
  const model = await openPlaces(checkpoint.places('model'));
  const optimizer = checkpoint.files.includes('optimizer')
    ? await openPlaces(checkpoint.places('optimizer'))
    : undefined;
  const { epoch, bestAcc1, globalBatch, imported } = checkpoint.state;
  // A converted checkpoint carries what its source said; one of a run has the run's configuration nearby.
  const origin = isRecord(imported) ? imported : undefined;
  const config = isRecord(origin?.args) ? origin.args : await readRunConfig(folder);
  const name = origin?.model ?? config?.model;
  return {
    tensors: model.tensors,
    ...(optimizer === undefined ? {} : { moments: optimizer.tensors }),
    facts: {
      step: checkpoint.step,
      ...(typeof epoch === 'number' ? { epoch } : {}),
      ...(typeof bestAcc1 === 'number' ? { bestAcc1 } : {}),
      ...(typeof globalBatch === 'number' && globalBatch > 0 ? { globalBatch } : {}),
      ...(config === undefined ? {} : { args: config }),
    },
    hints: {
      ...(typeof name === 'string' ? { name } : {}),
      ...optionHints((key) => origin?.[key] ?? config?.[key]),
    },
    notes: [],
    async close() {
      await model.close();
      await optimizer?.close();
    },
  };
}

/** What tensors do not tell, as a run's configuration names it. */
function optionHints(option: (key: string) => unknown): ModelHints {
  const positive = (key: string): number | undefined => {
    const value = option(key);
    return typeof value === 'number' && value > 0 ? value : undefined;
  };
  const activation = (key: string): Activation | undefined => {
    const value = option(key);
    return value === 'gelu' || value === 'quick_gelu' ? value : undefined;
  };
  return {
    visionHeads: positive('visionHeads'),
    normEps: positive('visionNormEps'),
    activation: activation('visionActivation'),
    textHeads: positive('textHeads'),
    textActivation: activation('textActivation'),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `<run>/config.json`, two folders up; a checkpoint that was moved elsewhere does without. */
async function readRunConfig(folder: string): Promise<Record<string, unknown> | undefined> {
  const file = path.join(path.resolve(folder), '..', '..', 'config.json');
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const document = JSON.parse(text);
    const config = document?.config ?? document;
    return isRecord(config) ? config : undefined;
  } catch {
    return undefined;
  }
}

async function openPlaces(places: readonly { path: string; entry: SafetensorsEntry }[]): Promise<TensorsOnDisk> {
  const handles = new Map<string, FileHandle>();
  const close = async (): Promise<void> => {
    for (const handle of handles.values()) await handle.close();
  };
  try {
    const tensors: StoredTensor[] = [];
    for (const { path: file, entry } of places) {
      const handle = handles.get(file) ?? (await open(file, 'r'));
      handles.set(file, handle);
      tensors.push(tensorInFile(file, handle, describe(file, entry), entry.begin, entry.end));
    }
    return { tensors, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function describe(
  file: string,
  { name, dtype, shape }: SafetensorsEntry,
): Pick<StoredTensor, 'name' | 'dtype' | 'shape'> {
  if (!Object.hasOwn(ELEMENT_BYTES, dtype)) {
    throw new SlipError('unsupported', `${file}: ${name} has the type ${dtype}, which cannot be converted`);
  }
  return { name, dtype: dtype as ElementType, shape };
}
