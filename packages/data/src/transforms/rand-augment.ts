// RandAugment as timm draws and applies it for fine-tuning (`rand-m9-mstd0.5-inc1`, reference 6.4): which operations, how strong.
// The pixel work is in the sibling files.
import { type RandomStream, SlipError } from '@slip/core';
import { affine, rotate } from './affine.js';
import { autoContrast, equalize, invert, posterize, sharpness, solarize, solarizeAdd } from './augment-ops.js';
import { brightness, contrast, saturation } from './colour.js';
import type { PixelImage } from './pixel-image.js';

export interface RandAugmentPolicy {
  /** Mean and standard deviation of the strength, which is clipped to 0..10. */
  readonly magnitude: number;
  readonly deviation: number;
  /** Operations drawn for each picture; each is carried out with probability 0.5. */
  readonly operations: number;
}

const MAX_MAGNITUDE = 10;
const APPLY_PROBABILITY = 0.5;

/** @param fill colour of what comes in from outside the picture */
type Operation = (image: PixelImage, magnitude: number, sign: 1 | -1, fill: readonly number[]) => PixelImage;

const share = (magnitude: number) => magnitude / MAX_MAGNITUDE;
const enhancement = (magnitude: number, sign: 1 | -1) => Math.max(0.1, 1 + sign * 0.9 * share(magnitude));

/** The fifteen operations of the policies with `inc1`, whose strength always grows with the magnitude. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  AutoContrast: autoContrast,
  Equalize: equalize,
  Invert: invert,
  Rotate: (image, m, sign, fill) => rotate(image, sign * 30 * share(m), fill),
  Posterize: (image, m) => posterize(image, 4 - Math.trunc(4 * share(m))),
  Solarize: (image, m) => solarize(image, 256 - Math.min(256, Math.trunc(256 * share(m)))),
  SolarizeAdd: (image, m) => solarizeAdd(image, Math.min(128, Math.trunc(110 * share(m)))),
  Color: (image, m, sign) => saturation(image, enhancement(m, sign)),
  Contrast: (image, m, sign) => contrast(image, enhancement(m, sign)),
  Brightness: (image, m, sign) => brightness(image, enhancement(m, sign)),
  Sharpness: (image, m, sign) => sharpness(image, enhancement(m, sign)),
  ShearX: (image, m, sign, fill) => affine(image, [1, sign * 0.3 * share(m), 0, 0, 1, 0], fill),
  ShearY: (image, m, sign, fill) => affine(image, [1, 0, 0, sign * 0.3 * share(m), 1, 0], fill),
  TranslateX: (image, m, sign, fill) => affine(image, [1, 0, sign * 0.45 * share(m) * image.width, 0, 1, 0], fill),
  TranslateY: (image, m, sign, fill) => affine(image, [1, 0, 0, 0, 1, sign * 0.45 * share(m) * image.height], fill),
};

const NAMES = Object.keys(OPERATIONS);

/** Draws with replacement, as timm does where no weights are given. */
export function randAugment(
  image: PixelImage,
  stream: RandomStream,
  policy: RandAugmentPolicy,
  fill: readonly number[],
): PixelImage {
  let result = image;
  for (let i = 0; i < policy.operations; i++) {
    const name = NAMES[stream.integer(NAMES.length)];
    if (stream.uniform() > APPLY_PROBABILITY) continue;
    const drawn = policy.deviation > 0 ? stream.normal(policy.magnitude, policy.deviation) : policy.magnitude;
    const magnitude = Math.min(MAX_MAGNITUDE, Math.max(0, drawn));
    result = OPERATIONS[name](result, magnitude, stream.uniform() > 0.5 ? -1 : 1, fill);
  }
  return result;
}

/**
 * Reads timm's notation, such as `rand-m9-mstd0.5-inc1`; `none` and nothing are no policy.
 * @throws SlipError `config` naming --aa for what is not understood, `unsupported` for other kinds of policies
 */
export function parseRandAugment(text: string): RandAugmentPolicy | undefined {
  if (text === '' || text === 'none') return undefined;
  const [kind, ...parts] = text.split('-');
  if (kind !== 'rand') {
    throw new SlipError(
      'unsupported',
      `--aa ${text}: only RandAugment is there, such as rand-m9-mstd0.5-inc1, or none`,
    );
  }
  const values: Record<string, number> = {};
  for (const part of parts) {
    const match = /^(mstd|m|n|inc)([\d.]+)$/.exec(part);
    if (match === null || Number.isNaN(Number(match[2]))) {
      throw new SlipError('config', `--aa ${text}: "${part}" is not understood; m, mstd, n and inc with numbers are`);
    }
    values[match[1]] = Number(match[2]);
  }
  if (values.inc !== 1) {
    throw new SlipError(
      'unsupported',
      `--aa ${text}: only operations that grow with the magnitude are there; add -inc1`,
    );
  }
  return { magnitude: values.m ?? MAX_MAGNITUDE, deviation: values.mstd ?? 0, operations: values.n ?? 2 };
}
