// A set that is about to be classified by texts: its pictures, its prompts, and that they belong together.
import { SlipError } from '@slip/core';
import {
  type CatalogPlace,
  checkClasses,
  classList,
  downstreamSet,
  type LabelledDataset,
  locateInCatalog,
  type Metric,
  openLabelled,
  type PromptFiles,
  type Prompts,
  readPrompts,
} from '@slip/data';

export interface ZeroShotSet {
  readonly name: string;
  readonly images: LabelledDataset;
  readonly prompts: Prompts;
  readonly metric: Metric;
}

/**
 * @param warn told where folder names are not known, so that their order cannot be checked
 * @throws SlipError `data` naming the folder, file or entry that is missing, and for classes that do not fit the texts
 */
export async function openZeroShotSet(
  place: CatalogPlace & PromptFiles,
  name: string,
  warn: (message: string) => void,
): Promise<ZeroShotSet> {
  const { validation } = await locateInCatalog(place, name);
  const prompts = await readPrompts(place, name);
  const images = await openLabelled(validation);
  try {
    // Other labels than the built-in ones may be of other classes.
    const expected =
      place.labels === '' || classList(name)?.length === prompts.labels.length ? classList(name) : undefined;
    if (expected !== undefined && validation.kind === 'image-folder') {
      const warning = checkClasses(name, expected, images.classes, validation.root);
      if (warning !== undefined) warn(warning);
    }
    if (images.classes.length !== prompts.labels.length) {
      throw new SlipError(
        'data',
        `${validation.root} has ${images.classes.length} classes, ${place.labels || 'the built-in list'} has ` +
          `${prompts.labels.length} labels for ${name}`,
      );
    }
    return { name, images, prompts, metric: downstreamSet(name)?.metric ?? 'accuracy' };
  } catch (error) {
    images.close();
    throw error;
  }
}
