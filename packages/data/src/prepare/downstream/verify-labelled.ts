// Looks through a prepared set: that both splits are there, have all classes in the right order, and that every picture can be read.
import { SlipError } from '@slip/core';
import { openLabelled } from '../../datasets/labelled-dataset.js';
import { type CatalogPlace, locateInCatalog } from '../../downstream/catalog.js';
import { checkClasses } from '../../downstream/check-classes.js';
import { classList } from '../../downstream/class-list.js';
import { decodeImage } from '../../images/decode-image.js';

export interface VerifiedSplit {
  readonly split: 'train' | 'test';
  readonly images: number;
  readonly classes: number;
  /** Classes of which there is a picture. */
  readonly seen: number;
  readonly warning?: string;
  /** Messages of pictures that cannot be read. */
  readonly bad: readonly string[];
}

export interface VerifyLabelledOptions {
  readonly place: CatalogPlace;
  readonly name: string;
  readonly concurrency: number;
  readonly progress: (done: number, total: number) => void;
}

/** @throws SlipError `data` for what is missing as a whole, and for classes in another order */
export async function verifyLabelled(options: VerifyLabelledOptions): Promise<VerifiedSplit[]> {
  const { place, name } = options;
  const { train, validation } = await locateInCatalog(place, name);
  return [await verifySplit(options, 'train', train), await verifySplit(options, 'test', validation)];
}

async function verifySplit(
  { name, concurrency, progress }: VerifyLabelledOptions,
  split: 'train' | 'test',
  location: Awaited<ReturnType<typeof locateInCatalog>>['train'],
): Promise<VerifiedSplit> {
  const set = await openLabelled(location);
  try {
    const expected = classList(name);
    const warning =
      expected !== undefined && location.kind === 'image-folder'
        ? checkClasses(name, expected, set.classes, location.root)
        : undefined;
    const bad: string[] = [];
    const seen = new Set<number>();
    let next = 0;
    let done = 0;
    const look = async (): Promise<void> => {
      while (next < set.length) {
        const { image, label } = set.describe(next++);
        seen.add(label);
        await decodeImage(image).catch((error: unknown) => {
          bad.push(SlipError.from(error).message);
        });
        progress(++done, set.length);
      }
    };
    await Promise.all(Array.from({ length: concurrency }, look));
    const found = { split, images: set.length, classes: set.classes.length, seen: seen.size, bad };
    return { ...found, ...(warning === undefined ? {} : { warning }) };
  } finally {
    set.close();
  }
}
