// What each form of a labelled set has to say for itself: which pictures there are and where.
import type { PictureSource } from '../../images/pixel-source.js';
import type { SourceState } from '../../index-file/source-state.js';
import type { LabelledLocation } from '../labelled-dataset.js';

/** A picture's class and place; of pictures that lie in one file, where it begins. */
export interface PictureRecord {
  readonly label: number;
  readonly place: string;
  readonly offset?: number;
}

export interface LabelledScan {
  /** Names, by label. */
  readonly classes: readonly string[];
  readonly records: AsyncIterable<PictureRecord>;
}

export interface LabelledReader {
  /** Files or folders that the listing is made from; an index is kept beside the first. */
  sources(location: LabelledLocation): readonly string[];
  /** What is wanted, or how to come by it, for a source that is not there. */
  wanted(location: LabelledLocation): string;
  /**
   * @param watch to be called before any other file or folder is read: the index is stale once that changes
   * @throws SlipError `data` naming what is wrong
   */
  scan(location: LabelledLocation, watch: (source: string) => Promise<SourceState>): Promise<LabelledScan>;
  picture(location: LabelledLocation, place: string, offset: number): PictureSource;
}
