// The model that a task was given, wherever it is on this machine.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { UseConfig } from '@slip/config';
import { findPretrained } from '@slip/weights';
import { type OpenedModel, openModel } from '../encode/open-model.js';
import type { TaskPlace } from '../pretrain/run-training.js';

export interface UsedModel extends OpenedModel {
  /** Changes with the file. */
  readonly version: string;
}

/** @param resume as it was given, or as an embedded folder tells it. @throws SlipError `checkpoint`, `unsupported` or `config` */
export async function modelForUse(
  resume: string,
  config: UseConfig,
  { group, log, cacheFolder }: TaskPlace,
): Promise<UsedModel> {
  const file = await findPretrained(resume, cacheFolder);
  const { visionHeads, textHeads } = config;
  const model = await openModel(file, { visionHeads, textHeads });
  if (group.rank === 0) for (const note of model.notes) log.warn(`${file}: ${note}`);
  return { ...model, version: `${path.resolve(file)} ${(await stat(file)).mtimeMs}` };
}
