// The views of labelled pictures: training and validation of linear probing and fine-tuning (reference 5.4, 6.4). Which
// transforms, in which order, with which draws; the pixel work is in the sibling files.
import type { RandomStream } from '@slip/core';
import { brightness, contrast, saturation } from './colour.js';
import { flipHorizontal, randomCropBox } from './geometry.js';
import type { PixelImage } from './pixel-image.js';
import { type RandAugmentPolicy, randAugment } from './rand-augment.js';
import { type ErasingPolicy, randomErasing } from './random-erasing.js';
import { resize } from './resize.js';
import type { ResizeFilter } from './resize-weights.js';
import { type Normalisation, PADDING, toNormalisedTensor } from './to-tensor.js';
import { evalPixels, type ViewTarget } from './views.js';

/** Plain data: loader threads are sent it. */
export interface LabelledView {
  readonly filter: ResizeFilter;
  readonly normalisation: Normalisation;
  /** Short side before the centre crop of validation, and of training without augmentation. */
  readonly resizeTo: number;
  /** Absent: training sees what validation sees. */
  readonly augment?: LabelledAugmentation;
}

/** Beside the random crop of 8-100 % and the flip (p 0.5), which linear probing has alone. */
export interface LabelledAugmentation {
  readonly randAugment?: RandAugmentPolicy;
  /** Strength of brightness, contrast and saturation; where there is no RandAugment. */
  readonly colourJitter?: number;
  readonly erasing?: ErasingPolicy;
}

/** One training view: crop, flip, RandAugment or colour jitter, normalisation, erasing. */
export function labelledTrainView(
  image: PixelImage,
  stream: RandomStream,
  target: ViewTarget,
  { filter, normalisation, resizeTo, augment }: LabelledView,
): void {
  const { size, out, offset } = target;
  if (augment === undefined) {
    labelledEvalView(image, target, { filter, normalisation, resizeTo });
    return;
  }
  const crop = randomCropBox(stream, image.width, image.height, [0.08, 1]);
  let view = resize(image, { width: size, height: size, filter, crop });
  if (stream.uniform() < 0.5) view = flipHorizontal(view);
  if (augment.randAugment !== undefined) {
    view = randAugment(view, stream, augment.randAugment, PADDING[normalisation]);
  } else if (augment.colourJitter !== undefined && augment.colourJitter > 0) {
    view = colourJitter(view, stream, augment.colourJitter);
  }
  toNormalisedTensor(view, out, offset, false, normalisation);
  if (augment.erasing !== undefined) randomErasing(out, offset, size, stream, augment.erasing);
}

/** Short side to `resizeTo`, centre crop. */
export function labelledEvalView(
  image: PixelImage,
  { size, out, offset }: ViewTarget,
  { filter, normalisation, resizeTo }: Omit<LabelledView, 'augment'>,
): void {
  toNormalisedTensor(evalPixels(image, size, resizeTo, filter), out, offset, false, normalisation);
}

/** torchvision's `ColorJitter(s, s, s)`: order first, then the three factors, then applied in that order. */
function colourJitter(image: PixelImage, stream: RandomStream, strength: number): PixelImage {
  const order = stream.permutation(3);
  const low = Math.max(0, 1 - strength);
  const factors = [0, 1, 2].map(() => Math.fround(stream.uniform(low, 1 + strength)));
  const steps = [brightness, contrast, saturation];
  return [...order].reduce((view, which) => steps[which](view, factors[which]), image);
}
