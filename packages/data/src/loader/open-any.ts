// Opens what a loader reads from, with captions or with labels, by the kind of its location.
import { type DatasetLocation, type IndexingProgress, openDataset } from '../datasets/captioned-dataset.js';
import { type LabelledLocation, openLabelled } from '../datasets/labelled-dataset.js';
import type { AnyDataset } from './batch-maker.js';

export type AnyLocation = DatasetLocation | LabelledLocation;

/** @throws SlipError `data` naming what cannot be read; `config` for a set that is not known */
export function openAny(location: AnyLocation, onIndexing?: IndexingProgress): Promise<AnyDataset> {
  return 'kind' in location ? openLabelled(location) : openDataset(location, onIndexing);
}
