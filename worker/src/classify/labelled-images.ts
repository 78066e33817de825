// The labelled pictures of a task: the training set's place, the validation pictures, and that their classes are the same.
import { SlipError } from '@slip/core';
import {
  type LabelledDataset,
  type LabelledLocation,
  type LabelledPlace,
  locateLabelled,
  openLabelled,
} from '@slip/data';

export interface LabelledImages {
  readonly train: LabelledLocation;
  readonly validation: LabelledDataset;
  readonly numClasses: number;
}

/**
 * @param outputs of the classifier as asked for; 0 is as many as there are classes
 * @throws SlipError `data` when the two have other classes; `config` when there are more of them than outputs
 */
export async function openLabelledImages(place: LabelledPlace, outputs: number, flag: string): Promise<LabelledImages> {
  const { train, validation } = await locateLabelled(place);
  const [training, validating] = await Promise.all([openLabelled(train), openLabelled(validation)]);
  const { classes } = training;
  training.close();
  const different = classes.findIndex((name, i) => validating.classes[i] !== name);
  if (different !== -1 || classes.length !== validating.classes.length) {
    const at = different === -1 ? classes.length : different;
    throw new SlipError(
      'data',
      `${train.root} has ${classes.length} class folders and ${validation.root} ${validating.classes.length}; they have to be the ` +
        `same, and number ${at} is ${classes[at] ?? 'missing'} in one and ${validating.classes[at] ?? 'missing'} in the other`,
    );
  }
  if (outputs !== 0 && outputs < classes.length) {
    throw new SlipError('config', `--${flag} ${outputs} is less than the ${classes.length} classes of ${train.root}`);
  }
  return { train, validation: validating, numClasses: outputs === 0 ? classes.length : outputs };
}
